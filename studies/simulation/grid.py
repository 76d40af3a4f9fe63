"""The grid of simulated people: the same box of space at every voxel size."""

from __future__ import annotations

import numpy as np

SHAPE = (152, 192, 160)
"""Voxels of the grid at 1 mm."""

ORIGIN_MM = np.array([-76.0, -111.0, -75.0])
"""The grid's lower corner in the space of the scaled atlas."""

ATLAS_SCALE = 0.92

COARSE = 4
"""mm; grid of deformations and other smooth fields."""


def grid_affine(voxel_size_mm: float) -> np.ndarray:
    """Voxel to mm of the grid at this voxel size; the box is the same at every size."""
    affine = np.diag([voxel_size_mm, voxel_size_mm, voxel_size_mm, 1.0])
    affine[:3, 3] = ORIGIN_MM + voxel_size_mm / 2
    return affine
