"""A person's own shape: a smooth deformation of the atlas."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from core.atlas import atlas_affine
from studies.simulation.atlas_maps import undeformed
from studies.simulation.grid import ATLAS_SCALE, COARSE, ORIGIN_MM, SHAPE
from studies.simulation.random_fields import enlarge, random_field


def atlas_coordinates(random: np.random.Generator, severity: float) -> np.ndarray:
    """For every voxel of the 1 mm grid its place in the atlas, in voxels, float32 (3, X, Y, Z)."""
    displacement = _deformation(random, severity)
    matrix = _small_affine(random) / ATLAS_SCALE
    origin = atlas_affine()[:3, 3]
    places = [
        (np.arange(n, dtype=np.float32) + np.float32(low + 0.5)).reshape(column)
        for n, low, column in zip(SHAPE, ORIGIN_MM, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
    ]
    moved = [place + enlarge(part, COARSE) for place, part in zip(places, displacement, strict=True)]
    coordinates = np.empty((3, *SHAPE), dtype=np.float32)
    for axis in range(3):
        row = matrix[axis].astype(np.float32)
        np.multiply(moved[0], row[0], out=coordinates[axis])
        coordinates[axis] += moved[1] * row[1]
        coordinates[axis] += moved[2] * row[2]
        coordinates[axis] -= np.float32(origin[axis])
    return coordinates


def _small_affine(random: np.random.Generator) -> np.ndarray:
    """Scaling by about +-1.5 % along each axis and rotation by about +-1 degree about each, (3, 3)."""
    matrix = np.diag(np.exp(random.normal(0, 0.015, 3)))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = np.deg2rad(random.normal(0, 1))
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def _deformation(random: np.random.Generator, severity: float) -> np.ndarray:
    """The displacement in mm on the coarse grid, (3, A, B, C): a diffeomorphism.

    Scaling and squaring of a stationary velocity (Arsigny et al., MICCAI 2006): folds of 20 and
    9 mm, and flow out of the lateral ventricles that widens them with severity.
    """
    coarse = tuple(n // COARSE for n in SHAPE)
    velocity = np.stack(
        [
            2.6 * random_field(random, coarse, COARSE, 20) + 1.2 * random_field(random, coarse, COARSE, 9)
            for _ in range(3)
        ]
    )
    velocity += np.float32((0.8 + 3.6 * severity) * 1.5) * _ventricle_pull()
    steps = 5
    flow = velocity / 2**steps
    identity = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in coarse), indexing="ij"))
    for _ in range(steps):
        place = identity + flow / COARSE
        flow = flow + np.stack([ndimage.map_coordinates(part, place, order=1, mode="nearest") for part in flow])
    # scans come registered, so a brain isn't shifted as a whole
    brain = _on_coarse_grid("brain") > 0.5
    return flow - flow[:, brain].mean(axis=1)[:, None, None, None]


@cache
def _ventricle_pull() -> np.ndarray:
    """Towards the lateral ventricles, on the coarse grid of subjects; at most 1, (3, A, B, C)."""
    gradient = np.stack(np.gradient(_on_coarse_grid("flow")))
    return gradient / np.sqrt((gradient**2).sum(axis=0)).max()


def _on_coarse_grid(name: str) -> np.ndarray:
    """The atlas's map of that name at the nodes of the subjects' coarse grid, (A, B, C)."""
    return undeformed(name, COARSE)
