"""How rough an image is from voxel to voxel: what a blur takes away first, and what noise adds."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from core.boxes import spans

NEIGHBORHOOD = 3
"""Edge, in voxels, of the cube whose mean is taken from each voxel."""


def roughness(image: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation of an image (X, Y, Z) minus the mean of each voxel's 3x3x3 neighborhood, over its mean.

    The deviation is taken over the voxels whose whole neighborhood is in `mask` (X, Y, Z), bool; the mean
    over all of the mask. It has no unit, doesn't change with a factor of the intensities (an offset
    changes it: bring an image onto the scale of those with which it is compared) and asks no segmentation.
    It is 0 for a constant image and for a straight slope, falls with every blur, and depends on the voxels'
    size, so it compares images of one grid. NaN where no neighborhood is wholly in the mask, or where the
    mean isn't above 0.
    """
    box = spans(mask)
    if box is None:
        return math.nan
    cut = tuple(slice(start, stop) for start, stop in box)
    brain = mask[cut]
    # beyond the box counts as outside, so the neighborhoods of inner voxels never reach beyond it
    inner = ndimage.binary_erosion(brain, np.ones((NEIGHBORHOOD,) * 3, dtype=bool))
    values = image[cut].astype(np.float64)
    level = float(values[brain].mean())
    if not inner.any() or not level > 0:
        return math.nan
    detail = (values - ndimage.uniform_filter(values, NEIGHBORHOOD))[inner]
    return float(detail.std()) / level
