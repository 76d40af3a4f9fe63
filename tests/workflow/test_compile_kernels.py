"""After installing nothing is left to compile where scans are segmented and measured."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

USED = """
import numpy as np
from core.gaussian_window import smooth
from segmentation.interface import segment

generator = np.random.default_rng(1)
brain = np.linspace(400, 1600, 20**3).reshape(20, 20, 20) + generator.normal(0, 30, (20, 20, 20))
segment(brain.astype(np.float32), brain > 0, (4, 4, 5), threads=2, partial_volumes=True)
smooth(brain[1:, ::2])
"""


@pytest.mark.slow
def test_what_was_compiled_once_is_not_compiled_again(tmp_path):
    given = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    told = []
    for words in (["-m", "workflow.compile_kernels"], ["-c", USED]):
        done = subprocess.run([sys.executable, *words], env=given, capture_output=True, text=True, check=True)
        told.append(done.stderr)
    assert "compiling" in told[0]
    assert "compiling" not in told[1]
