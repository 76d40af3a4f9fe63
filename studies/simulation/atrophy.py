"""Atrophy of a real brain: some of the cortex becomes cerebrospinal fluid, where it borders on it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.optimize import brentq

REACH_MM = 1.5
"""SD of the Gaussian that says how much CSF is near a voxel: a cortex is 2 to 4 mm thick."""

FASTEST = 1e6
"""A rate at which all cortex that has any CSF near is gone."""


def with_atrophy(fractions: np.ndarray, mask: np.ndarray, cortex: np.ndarray, share: float) -> np.ndarray:
    """Tissue fractions (3, n) with the `share` of cortical GM moved to CSF, by as much as CSF is near.

    `fractions` are of CSF, GM and WM in the mask's n voxels of 1 mm, (X, Y, Z); `cortex` (n,), 0 to 1, is where GM is
    cortex. What lies outside the brain counts as CSF. The rest stays, so that the true change is `share` of the cortex.
    """
    csf, gm, wm = fractions
    around = np.ones(mask.shape, dtype=np.float32)
    around[mask] = csf
    near = ndimage.gaussian_filter(around, REACH_MM, mode="nearest")[mask]
    there = gm.astype(np.float64) * cortex
    wanted = share * there.sum()

    def gone(rate: float) -> np.ndarray:
        return there * np.clip(rate * near, 0, 1)

    rate = brentq(lambda rate: gone(rate).sum() - wanted, 0.0, FASTEST, rtol=1e-12) if wanted > 0 else 0.0
    moved = gone(rate).astype(np.float32)
    return np.stack([csf + moved, gm - moved, wm])
