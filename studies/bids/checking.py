"""Whether native images can be used at all: they are read before any long work."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images import load_image, voxel_sizes
from core.nifti import open_nifti

LARGEST_SHEAR = 0.01
"""Cosine of the angle between two axes of the grid: scanners give right angles, rounded to the file's digits."""


def check_image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Refuse an image that is broken, not 3-D, has no orientation or sheared voxels, or is all one value.

    Returns what `load_image` reads of it. Raises `InputError` naming the file, what was found and the remedy.
    """
    check_orientation(path)
    voxels, affine = load_image(path)
    broken = int(np.count_nonzero(~np.isfinite(voxels)))
    if broken:
        raise InputError(f"{path}: {broken} NaN or infinite voxels; repair it or leave the scan out")
    if voxels.min() == voxels.max():
        raise InputError(f"{path}: {voxels.flat[0]:g} everywhere; is it the right file? Leave the scan out")
    return voxels, affine


def check_orientation(path: Path) -> None:
    """Refuse an image whose header doesn't say how it lies; without that, left and right are a guess."""
    image = open_nifti(path)
    header = image.header
    codes = [int(header[name]) for name in ("sform_code", "qform_code") if name in header]
    if not any(codes):
        raise InputError(
            f"{path}: its header has no orientation (sform_code and qform_code are 0); convert the scan anew from "
            "DICOM, or set the orientation if you know it"
        )
    axes = image.affine[:3, :3] / voxel_sizes(image.affine)
    shear = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if shear > LARGEST_SHEAR:
        raise InputError(
            f"{path}: its axes aren't at right angles (cosine {shear:.3g}); resample it onto a right-angled grid"
        )
