"""Unified segmentation (Ashburner and Friston, NeuroImage 2005), from the paper, with the ICBM152's tissues as priors.

SPM segments so. Of SPM's program this lacks the classes outside the brain, since images come brain-extracted, and its
registration: the atlas is laid on the brain by place and extent, then warped by the model itself. It estimates no
partial volumes.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from threadpoolctl import threadpool_limits

from core.libraries import check_libraries
from core.names import TISSUES
from segmentation.cosine_bases import cosine_axes, field
from segmentation.interface import Segmentation
from segmentation.priors import places_in_atlas, priors_at
from segmentation.tissue_maps import from_posteriors
from segmentation.warped_mixture import TISSUE_OF, Model, fit, mixture_density, thinned

PARTIAL_VOLUMES = False
ON_ATLAS = True

NEIGHBORS_MM2 = 1.0
"""A neighbor at 1 mm that is surely of a tissue multiplies its odds by e, one at 2 mm by a fourth root of e: SPM's."""


def check() -> None:
    """Raise `InputError` where the package that has the atlas isn't installed."""
    check_libraries(["nilearn"], "segmentation engine unified")


def segment(
    image: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: tuple[float, float, float],
    threads: int,
    partial_volumes: bool,
    *,
    affine: np.ndarray,
) -> Segmentation:
    """Fit the model to the thinned brain, classify every voxel by it, then by its neighbors once.

    On one thread, so that sums don't differ from run to run; see `segmentation.interface.segment`.
    """
    check()
    with threadpool_limits(1):
        places = places_in_atlas(mask, affine)
        model = fit(thinned(image, mask, voxel_sizes, places, priors_at))
        log_bias, posteriors = classified(image, mask, places, model)
    posteriors = seen_by_neighbors(posteriors, mask, voxel_sizes)
    return from_posteriors(
        "unified",
        posteriors,
        image[mask] * np.exp(log_bias[mask]),
        mask,
        bias_field=np.exp(-log_bias).astype(np.float32) * mask,
    )


def classified(image: np.ndarray, mask: np.ndarray, places: np.ndarray, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The log factor (X, Y, Z) that frees an image of its bias, and the tissues' posteriors, float32 (3, X, Y, Z)."""
    log_bias = field(cosine_axes(mask.shape, model.bias.shape), model.bias)
    axes = cosine_axes(mask.shape, model.warp.shape[1:])
    warped = places + np.stack([field(axes, one)[mask] for one in model.warp], axis=1)
    shares = mixture_density(image[mask] * np.exp(log_bias[mask]), priors_at(warped), model)
    tissues = np.stack([shares[number == TISSUE_OF].sum(axis=0) for number in range(len(TISSUES))])
    posteriors = np.zeros((len(TISSUES), *mask.shape), dtype=np.float32)
    posteriors[:, mask] = tissues / tissues.sum(axis=0)
    return log_bias, posteriors


def seen_by_neighbors(posteriors: np.ndarray, mask: np.ndarray, voxel_sizes: tuple[float, float, float]) -> np.ndarray:
    """Posteriors (3, X, Y, Z) after one step of a Markov field over the six neighbors, by their distance."""
    kernel = np.zeros((3, 3, 3), dtype=np.float32)
    for axis, size in enumerate(voxel_sizes):
        for side in (0, 2):
            place = [1, 1, 1]
            place[axis] = side
            kernel[tuple(place)] = NEIGHBORS_MM2 / size**2
    around = np.stack([ndimage.convolve(one, kernel, mode="constant") for one in posteriors])
    found = posteriors * np.exp(around - around.max(axis=0))
    total = found.sum(axis=0)
    return np.where(mask, found / np.where(total > 0, total, 1), 0).astype(np.float32)
