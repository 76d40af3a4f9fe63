"""What engines do alike with tissues' maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.images import load_image
from segmentation.interface import Segmentation


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


def from_posteriors(
    engine: str,
    posteriors: np.ndarray,
    values: np.ndarray,
    mask: np.ndarray,
    *,
    partly: bool = False,
    bias_field: np.ndarray | None = None,
) -> Segmentation:
    """The segmentation of an engine that estimates no partial volumes, from its posteriors (3, X, Y, Z), float32.

    `values` (N,) are of the voxels of `mask` (X, Y, Z), bool, on the scale that the engine models. A voxel's
    label is its most probable tissue; with `partly` those of the mask that are of no tissue at all have none.
    """
    means, variances = tissue_moments(values.astype(np.float64), posteriors[:, mask])
    labeled = posteriors.any(axis=0) if partly else mask
    labels = np.where(labeled, posteriors.argmax(axis=0) + 1, 0).astype(np.uint8)
    return Segmentation(
        posteriors=posteriors,
        labels=labels,
        bias_field=bias_field,
        means=means,
        variances=variances,
        partial_volumes=None,
        engine=engine,
    )
