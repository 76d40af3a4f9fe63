"""How rough an image is from voxel to voxel: what a blur takes away first, and what noise adds."""

from __future__ import annotations

import math

import numpy as np

from core.boxes import spans

NEIGHBORHOOD = 3
"""Edge, in voxels, of the cube whose mean is taken from each voxel."""


def roughness(image: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation of an image (X, Y, Z) minus the mean of each voxel's 3x3x3 neighborhood, over its mean.

    The deviation is `detail`'s; the mean is that over all of `mask` (X, Y, Z), bool. It has no unit, doesn't
    change with a factor of the intensities (an offset changes it: bring an image onto the scale of those with
    which it is compared) and asks no segmentation. It is 0 for a constant image and for a straight slope, falls
    with every blur, and depends on the voxels' size, so it compares images of one grid. NaN where there is no
    `detail`, or where the mean isn't above 0.
    """
    level = float(image[mask].mean(dtype=np.float64)) if mask.any() else math.nan
    return detail(image, mask) / level if level > 0 else math.nan


def detail(image: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation of an image (X, Y, Z) minus the mean of each voxel's 3x3x3 neighborhood, in its own unit.

    It is taken over the voxels whose whole neighborhood is in `mask` (X, Y, Z), bool; NaN where there are none.
    """
    from scipy import ndimage

    box = spans(mask)
    if box is None:
        return math.nan
    cut = tuple(slice(start, stop) for start, stop in box)
    inner = _inner(mask[cut])
    if not inner.any():
        return math.nan
    # what lies outside the mask is in no inner voxel's neighborhood, and must not cost the sums their digits
    values = np.where(mask[cut], image[cut], 0)
    return float((values - ndimage.uniform_filter(values, NEIGHBORHOOD))[inner].std(dtype=np.float64))


def _inner(mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask whose whole neighborhood is of it: an erosion, ten times faster than a filter of 27."""
    found = mask
    for axis in range(mask.ndim):
        line = np.moveaxis(found, axis, 0)
        narrow = np.zeros_like(line)
        narrow[1:-1] = line[1:-1] & line[:-2] & line[2:]
        found = np.moveaxis(narrow, 0, axis)
    return found
