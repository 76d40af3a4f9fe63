"""A made-up brain of three tissues whose voxels are often mixed, seen with more or less noise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

EDGE_MM = 4.0
SIDE = 40


def mixed_brain() -> tuple[np.ndarray, np.ndarray]:
    """Fractions (3, X, Y, Z) of CSF, GM and WM on voxels of 4 mm, many of them mixed, and the mask."""
    wave = gaussian_filter(np.random.default_rng(0).normal(size=(2 * SIDE,) * 3), 2.5)
    grid = np.meshgrid(*[np.linspace(-1, 1, 2 * SIDE)] * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in grid))
    depth = wave / wave.std()
    labels = np.where(depth < -0.75, 0, np.where(depth < 0.25, 1, 2))
    fine = np.stack([(labels == label) & (radius < 0.95) for label in range(3)]).astype(np.float32)
    fractions = fine.reshape(3, SIDE, 2, SIDE, 2, SIDE, 2).mean(axis=(2, 4, 6))
    mask = fractions.sum(axis=0) > 0.99
    return fractions, mask


def seen_with(noise: float, fractions: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image (X, Y, Z) of tissues of 300, 650 and 1000, with noise of that SD; 0 outside the mask."""
    image = np.tensordot([300, 650, 1000], fractions, 1) + np.random.default_rng(1).normal(0, noise, mask.shape)
    return np.where(mask, np.maximum(image, 1), 0).astype(np.float32)
