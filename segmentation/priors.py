"""Where tissues are likely in a brain: the ICBM152's probabilities, laid on a brain by its place and extent alone."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from core.atlas import atlas_affine, read_atlas
from core.names import TISSUES

LEAST = 0.01
"""No tissue is ruled out anywhere: anatomies differ from the atlas by more than a voxel."""


def tissue_priors(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Probability of CSF, GM and WM, float32 (3, X, Y, Z), in a brain `mask` (X, Y, Z), bool; 0 outside.

    The brain's mean place and its standard deviation along left-right, back-front and down-up, in mm by `affine`
    (4, 4), are laid on the atlas's: enough for a brain that lies upright, on the atlas or off it, and no
    registration whose own errors the segmentation would inherit. CSF is what of the atlas's brain is neither GM
    nor WM.
    """
    brain = read_atlas("t1") > 0
    gray, white = read_atlas("gm"), read_atlas("wm")
    maps = [np.where(brain, np.clip(1 - gray - white, 0, 1), 0), gray, white]
    voxels = np.argwhere(mask)
    places = voxels @ affine[:3, :3].T + affine[:3, 3]
    atlas = np.argwhere(brain) @ atlas_affine()[:3, :3].T + atlas_affine()[:3, 3]
    laid = atlas.mean(axis=0) + (places - places.mean(axis=0)) * (atlas.std(axis=0) / places.std(axis=0))
    into = np.linalg.inv(atlas_affine())
    coordinates = (laid @ into[:3, :3].T + into[:3, 3]).T
    found = np.stack([ndimage.map_coordinates(one, coordinates, order=1) for one in maps])
    found = np.maximum(found, LEAST)
    priors = np.zeros((len(TISSUES), *mask.shape), dtype=np.float32)
    priors[:, mask] = found / found.sum(axis=0)
    return priors
