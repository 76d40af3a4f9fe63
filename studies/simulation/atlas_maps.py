"""The atlas as maps that people are made of: tissues, and where ventricles and deep nuclei are."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from core.atlas import atlas_affine, read_atlas
from studies.simulation.grid import ATLAS_SCALE, ORIGIN_MM, SHAPE

_ELLIPSOIDS = {
    # center and half axes in mm of the atlas's space; mirrored where x isn't 0
    "deep": [
        ((11, -19, 8), (11, 15, 11)),  # thalamus
        ((25, 1, 1), (9, 20, 12)),  # putamen and pallidum
        ((13, 14, 6), (8, 14, 12)),  # head of the caudate
        ((14, -2, 18), (6, 16, 7)),  # body of the caudate
        ((15, -58, -35), (10, 10, 8)),  # dentate nucleus
    ],
    "brainstem": [((0, -26, -24), (17, 15, 30))],
    "pallidum": [((19, -5, -1), (6, 9, 6))],
}

_VENTRICLE_BOX_MM = ((-40, 40), (-50, 38), (-4, 34))
"""The lateral ventricles are the CSF in it that hangs together above the third ventricle and cisterns."""

_VENTRICLE_MARGIN = 20
"""Voxels around that box, for what is smooth."""


@cache
def load_atlas() -> dict[str, np.ndarray]:
    """Maps on the atlas's own 1 mm grid, float32, 0..1.

    brain, gm, wm: the brain and its probabilities; deep, brainstem, pallidum: where those regions
    are; ventricles: the lateral ventricles, soft; near_ventricles: falls off from them over 6 mm;
    flow: smoothed ventricles, up whose gradient a deformation that widens them looks.
    """
    brain = read_atlas("t1") > 0
    gm, wm = read_atlas("gm"), read_atlas("wm")
    csf = np.where(brain, np.clip(1 - gm - wm, 0, 1), 0)
    box, lateral = _lateral_ventricles(csf)
    maps = {"brain": brain.astype(np.float32), "gm": gm, "wm": wm}
    for name, scale_mm, gain in (("ventricles", 1.5, 2), ("near_ventricles", 6, 2.5), ("flow", 5, 1)):
        maps[name] = np.zeros(brain.shape, dtype=np.float32)
        maps[name][box] = np.clip(gain * ndimage.gaussian_filter(lateral, scale_mm, truncate=3), 0, 1)
    for name, ellipsoids in _ELLIPSOIDS.items():
        maps[name] = np.zeros(brain.shape, dtype=np.float32)
        for center, axes in ellipsoids:
            for side in (1, -1) if center[0] else (1,):
                _add_ellipsoid(maps[name], (side * center[0], *center[1:]), axes)
    return maps


def _lateral_ventricles(csf: np.ndarray) -> tuple[tuple[slice, ...], np.ndarray]:
    """A box of the atlas, and in it 1 in the lateral ventricles, else 0, float32."""
    origin = atlas_affine()[:3, 3]
    box = tuple(slice(int(low - o), int(high - o)) for (low, high), o in zip(_VENTRICLE_BOX_MM, origin, strict=True))
    labels, _ = ndimage.label(csf[box] > 0.5)
    lateral = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    wide = tuple(slice(s.start - _VENTRICLE_MARGIN, s.stop + _VENTRICLE_MARGIN) for s in box)
    return wide, np.pad(lateral.astype(np.float32), _VENTRICLE_MARGIN)


def _add_ellipsoid(image: np.ndarray, center_mm: tuple[float, ...], axes_mm: tuple[float, ...]) -> None:
    """Raise `image` to a soft ellipsoid: 1 inside, 0 outside, an edge of about 2 mm."""
    center = np.array(center_mm) - atlas_affine()[:3, 3]
    reach = np.array(axes_mm) + 6
    box = tuple(
        slice(max(int(c - r), 0), min(int(c + r) + 2, n)) for c, r, n in zip(center, reach, image.shape, strict=True)
    )
    axes = [
        ((np.arange(s.start, s.stop) - c) / a).astype(np.float32) for s, c, a in zip(box, center, axes_mm, strict=True)
    ]
    radius = np.sqrt(axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2)
    edge = np.float32(min(axes_mm))
    soft = 1 / (1 + np.exp((radius - 1) * edge / 0.6))
    image[box] = np.maximum(image[box], soft)


def undeformed(name: str, voxel_size_mm: int) -> np.ndarray:
    """The atlas's map of that name, scaled and nothing else, on the subjects' grid of these voxels, (A, B, C)."""
    centers = [
        low + voxel_size_mm * (np.arange(n // voxel_size_mm) + 0.5) for n, low in zip(SHAPE, ORIGIN_MM, strict=True)
    ]
    origin = atlas_affine()[:3, 3]
    places = [(center / ATLAS_SCALE - o).astype(np.float32) for center, o in zip(centers, origin, strict=True)]
    return sample(name, np.stack(np.meshgrid(*places, indexing="ij")))


def undeformed_maps(mask: np.ndarray) -> dict[str, np.ndarray]:
    """The maps that `compose` needs, in a mask (X, Y, Z) on the 1 mm grid: a brain that lies where the atlas lies."""
    return {name: undeformed(name, 1)[mask] for name in ("deep", "brainstem", "pallidum", "ventricles")}


def atlas_brain() -> tuple[np.ndarray, np.ndarray]:
    """The atlas's T1-weighted brain (X, Y, Z), 0..1, and its affine at the size of the subjects."""
    affine = np.diag([ATLAS_SCALE, ATLAS_SCALE, ATLAS_SCALE, 1.0]) @ atlas_affine()
    return read_atlas("t1"), affine


def sample(name: str, place: np.ndarray) -> np.ndarray:
    """The atlas's map of that name at places (3, ...) in its voxels, linearly interpolated."""
    box = _support(name)
    inside = np.ones(place.shape[1:], dtype=bool)
    for coordinate, extent in zip(place, box, strict=True):
        inside &= (coordinate > extent.start) & (coordinate < extent.stop - 1)
    there = place[:, inside] - np.array([[extent.start] for extent in box], dtype=np.float32)
    values = np.zeros(place.shape[1:], dtype=np.float32)
    values[inside] = ndimage.map_coordinates(load_atlas()[name][box], there, order=1)
    return values


@cache
def _support(name: str) -> tuple[slice, ...]:
    """The box of the atlas, a voxel wider, outside which a map is nearly 0."""
    there = load_atlas()[name] > 1e-3
    box = []
    for axis in range(3):
        planes = np.flatnonzero(there.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(max(int(planes[0]) - 1, 0), int(planes[-1]) + 2))
    return tuple(box)
