"""What tests of kernels of our own need: triton, or they are skipped, and a device.

Triton comes with torch for GPUs, and with no other. On a GPU the kernels themselves are run, which multiply float32 as
TF32; elsewhere triton's interpreter runs them, which since 3.9 knows numpy 2, and multiplies float32 as it is.
To be imported before any module that imports triton.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os

import pytest
import torch
from packaging.version import Version

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton comes with torch for GPUs", allow_module_level=True)
if not torch.cuda.is_available():
    if Version(importlib.metadata.version("triton")) < Version("3.9"):
        pytest.skip("this triton's interpreter doesn't know numpy 2", allow_module_level=True)
    os.environ["TRITON_INTERPRET"] = "1"  # read as triton is imported

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def drawn(*shape: int) -> torch.Tensor:
    """Normal numbers, the same for shapes of the same sum."""
    return torch.randn(*shape, device=DEVICE, generator=torch.Generator(DEVICE).manual_seed(sum(shape)))
