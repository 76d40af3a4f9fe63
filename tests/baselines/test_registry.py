"""What holds for all methods beside the battery of tests/test_methods.py."""

from __future__ import annotations

import subprocess
import sys

import yaml

from baselines.harness.fitting import fit_method
from baselines.harness.registry import methods
from baselines.harness.saved import load_method
from baselines.interface import Context
from tests.support.paths import ROOT


def test_the_seed_of_the_fit_comes_back_with_the_model(study, tmp_path):
    fit_method("fcm", study, tmp_path / "model", context=Context(seed=17))
    assert load_method("fcm", tmp_path / "model", Context(threads=2)).context == Context(seed=17, threads=2)


def test_listing_methods_imports_nothing_heavy():
    heavy = ["torch", "skimage", "skfuzzy", "intensity_normalization", "ants", "sklearn"]
    code = f"""
import sys
from baselines.harness.registry import methods
methods()
print([name for name in {heavy} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


def test_the_configuration_of_all_methods_has_them_all():
    arms = set()
    for file in ("config.yaml", "all-methods.yaml"):
        given = yaml.safe_load((ROOT / "config" / file).read_text())["methods"]
        arms |= {settings.get("method", arm) for arm, settings in given.items()}
    # these need images or a program of the user's, or an arm's images
    assert set(methods()) - arms == {"external", "command", "matched_blur"}
    assert arms <= set(methods())
