"""The ICBM152 2009a atlas that nilearn's wheel carries, for whoever simulates, registers or has priors; no download."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images import load_image
from core.libraries import check_libraries
from core.nifti import open_nifti


def read_atlas(name: str) -> np.ndarray:
    """The atlas's map of `name` (t1, gm or wm), float32 (X, Y, Z) in 0..1, as nilearn stores it."""
    return load_image(atlas_file(name))[0] / 255


def atlas_file(name: str) -> Path:
    """The atlas's file of `name` (t1, gm or wm) within nilearn, found without importing it."""
    check_libraries(["nilearn"], "the ICBM152 atlas")
    package = importlib.util.find_spec("nilearn")
    folders = package.submodule_search_locations if package else None
    file = f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    path = Path(folders[0]) / "datasets" / "data" / file if folders else None
    if path is None or not path.exists():
        raise InputError(f"{file} of the package nilearn isn't there; install nilearn 0.13 (pip install nilearn)")
    return path


@cache
def atlas_affine() -> np.ndarray:
    """Voxel to mm of the atlas's maps, (4, 4)."""
    return open_nifti(atlas_file("t1")).affine
