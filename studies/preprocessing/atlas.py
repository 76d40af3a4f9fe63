"""The atlas that scans are registered to: nilearn's ICBM152 2009a, or one of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.atlas import atlas_file
from core.errors import InputError
from core.images import check_same_grid, load_image, load_mask
from studies.preprocessing.arrays import Grid, brain_grid, reorient, sample, smooth_for
from studies.preprocessing.brain import is_stripped
from studies.preprocessing.options import PreprocessOptions


@dataclass(frozen=True)
class Atlas:
    """The atlas on the study's grid: its brain, float32 (X, Y, Z), 0 outside the mask, and the mask, bool."""

    image: np.ndarray
    mask: np.ndarray
    grid: Grid


def load_atlas(options: PreprocessOptions) -> Atlas:
    """The atlas at the study's voxel size.

    Raises `InputError` for an atlas that can't be read, or one with its skull and no mask.
    """
    if options.atlas is None:
        place = atlas_file("t1")
        image, affine = reorient(*load_image(place))
        mask = image > 0
    else:
        place = Path(options.atlas["image"])
        image, affine = reorient(*load_image(place))
        if options.atlas.get("mask"):
            check_same_grid(options.atlas["mask"], place)
            mask = reorient(*load_mask(options.atlas["mask"]))[0] > 0
        else:
            mask = image > 0
            if mask.mean() > 0.6 or (mask.any() and not is_stripped(image, affine)):
                raise InputError(f"{place}: shows more than a brain, so it has its skull; give atlas.mask too")
    if not mask.any():
        raise InputError(f"{place}: no voxel of its brain is above 0; is it the atlas's T1-weighted image?")
    grid = brain_grid(mask, affine, options.voxel_size_mm)
    brain = np.where(mask, image, np.float32(0))
    on_grid = sample(smooth_for(brain, affine, options.voxel_size_mm), affine, grid)
    covered = sample(smooth_for(mask.astype(np.float32), affine, options.voxel_size_mm), affine, grid) > 0.5
    return Atlas(np.where(covered, on_grid, 0).astype(np.float32), covered, grid)
