"""What the encoders see outside the brain.

Scans are brain-extracted, so that at the brain's edge their intensity falls to 0. A network smooths that cliff
until it has learned it, which takes thousands of steps, and so darkens the brain's outermost voxels. Where the
outside continues the brain there is nothing to learn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mispel.parameters import Outside

MARGIN = {"nearest": 2, "zero": 0}
"""Voxels between the brain and its box. Convolutions see 0 beyond the box, so that without a margin the brain ends at
a cliff again where it touches the box: after two passes at 2 mm its outermost voxels were darkened there by 0.36 of
the brain's mean, by 0.08 one voxel farther in, and by nothing from two voxels on."""


def surrounded(stack: np.ndarray, inside: np.ndarray, spacing: Sequence[float], *, outside: Outside) -> np.ndarray:
    """Slices (S, H, W) of a scan, what lies outside the brain made as `outside` says.

    inside: the brain (S, H, W), bool, not empty. spacing: of voxels along the three axes, in mm.
    """
    if outside == "zero":
        return np.where(inside, stack, stack.dtype.type(0))
    if inside.all():
        return stack
    places = ndimage.distance_transform_edt(~inside, sampling=spacing, return_distances=False, return_indices=True)
    return stack[tuple(places)]
