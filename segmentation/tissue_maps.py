"""What engines do alike with tissues' maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.images import load_image


def read_maps(files: Sequence[str | Path], shape: tuple[int, ...]) -> np.ndarray:
    """A program's maps, float32 (files, X, Y, Z).

    Raises
    ------
    InputError
        A file that can't be read.
    ValueError
        Maps that aren't of `shape`.
    """
    maps = np.stack([load_image(file)[0] for file in files])
    if maps.shape[1:] != shape:
        raise ValueError(f"maps of shape {maps.shape[1:]} for an image of {shape}")
    return maps


def tissue_moments(values: np.ndarray, posteriors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, float64 (K,) each, of values (N,) by their classes' posteriors (K, N); 0 of an empty class."""
    shares = posteriors.astype(np.float64)
    counts = np.maximum(shares.sum(axis=1), np.finfo(np.float64).tiny)
    means = shares @ values / counts
    return means, (shares * np.square(values - means[:, None])).sum(axis=1) / counts
