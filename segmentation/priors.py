"""Where tissues are likely in a brain: the ICBM152's probabilities, laid on a brain by its place and extent alone."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from core.atlas import atlas_affine, read_atlas
from core.names import TISSUES

LEAST = 0.01
"""No tissue is ruled out anywhere: anatomies differ from the atlas by more than a voxel."""


def tissue_priors(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Probability of CSF, GM and WM, float32 (3, X, Y, Z), in a brain `mask` (X, Y, Z), bool; 0 outside."""
    priors = np.zeros((len(TISSUES), *mask.shape), dtype=np.float32)
    priors[:, mask] = priors_at(places_in_atlas(mask, affine))
    return priors


def places_in_atlas(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Where the N voxels of a brain `mask` (X, Y, Z), bool, lie in the atlas's brain: (N, 3) in its mm.

    The brain's mean place and its standard deviation along left-right, back-front and down-up, in mm by `affine`
    (4, 4), are laid on the atlas's: enough for a brain that lies upright, on the atlas or off it, and no
    registration whose own errors the segmentation would inherit.
    """
    places = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    center, spread = _atlas_extent()
    return center + (places - places.mean(axis=0)) * (spread / places.std(axis=0))


def priors_at(places: np.ndarray) -> np.ndarray:
    """Probability of CSF, GM and WM, (3, N), at places (N, 3) in the atlas's mm, between its voxels linearly.

    CSF is what of the atlas's brain is neither GM nor WM.
    """
    into = np.linalg.inv(atlas_affine())
    coordinates = (places @ into[:3, :3].T + into[:3, 3]).T
    found = np.stack([ndimage.map_coordinates(one, coordinates, order=1) for one in _atlas_maps()])
    found = np.maximum(found, LEAST)
    return found / found.sum(axis=0)


@cache
def _atlas_maps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gray, white = read_atlas("gm"), read_atlas("wm")
    return np.where(read_atlas("t1") > 0, np.clip(1 - gray - white, 0, 1), 0), gray, white


@cache
def _atlas_extent() -> tuple[np.ndarray, np.ndarray]:
    places = np.argwhere(read_atlas("t1") > 0) @ atlas_affine()[:3, :3].T + atlas_affine()[:3, 3]
    return places.mean(axis=0), places.std(axis=0)
