"""The paper's losses, Eq. 2 to 6, as means over the slices of a batch.

Shapes: B slices, M scanners, L embeddings, H x W pixels. `present` (B, M) is 1 where a slice was
scanned and 0 where the scan is missing; Eq. 2, 3 and 5 then run over the scanners and pairs present and
are normalized by their number, so that a complete study gives the paper's sums. `region` (B, H, W) is 1
for the pixels that count; without it all do.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor


def pixel_mean(values: Tensor, region: Tensor | None) -> Tensor:
    """Mean over the pixels of `values` (B, ..., H, W) that lie in `region` (B, H, W); returns (B, ...)."""
    if region is None:
        return values.mean(dim=(-2, -1))
    inside = region.reshape(region.shape[0], *[1] * (values.dim() - 3), *region.shape[1:])
    return (values * inside).sum(dim=(-2, -1)) / inside.sum(dim=(-2, -1)).clamp(min=1)


def present_mean(values: Tensor, present: Tensor) -> Tensor:
    """Mean of `values` (B, n) over the entries that are present (B, n); 0 where none is. Returns (B,)."""
    return (values * present).sum(dim=1) / present.sum(dim=1).clamp(min=1)


def pairs_present(present: Tensor) -> Tensor:
    """Which pairs of scanners (B, M(M-1)/2) are present, pairs in the order of Eq. 5's double sum."""
    return torch.stack([present[:, i] * present[:, k] for i, k in combinations(range(present.shape[1]), 2)], dim=1)


def reconstruction_loss(images: Tensor, outputs: Tensor, present: Tensor, region: Tensor | None = None) -> Tensor:
    """Eq. 2: the mean absolute error of `outputs` against `images` (B, M, H, W), summed over the M scanners."""
    errors = pixel_mean((images - outputs).abs(), region)
    return images.shape[1] * present_mean(errors, present).mean()


def coupling_loss(embeddings: Tensor, present: Tensor, region: Tensor | None = None) -> Tensor:
    """Eq. 3: the variance over scanners (ddof 0) of embeddings (B, M, L, H, W), mean over maps and pixels."""
    weights = (present / present.sum(dim=1, keepdim=True))[:, :, None, None, None]
    mean = (embeddings * weights).sum(dim=1, keepdim=True)
    variance = ((embeddings - mean).square() * weights).sum(dim=1)
    return pixel_mean(variance, region).mean()


def harmonization_loss(outputs: Tensor, present: Tensor, region: Tensor | None = None) -> Tensor:
    """Eq. 5: the mean over pairs of scanners of the mean absolute difference of their outputs (B, M, H, W)."""
    differences = torch.stack(
        [
            pixel_mean((outputs[:, i] - outputs[:, k]).abs(), region)
            for i, k in combinations(range(outputs.shape[1]), 2)
        ],
        dim=1,
    )
    return present_mean(differences, pairs_present(present)).mean()


def step1_loss(reconstruction: Tensor, coupling: Tensor, *, lambda1: float, lambda2: float) -> Tensor:
    """Eq. 4."""
    return lambda1 * reconstruction + lambda2 * coupling


def step2_loss(reconstruction: Tensor, harmonization: Tensor, *, lambda3: float, lambda4: float) -> Tensor:
    """Eq. 6."""
    return lambda3 * reconstruction + lambda4 * harmonization
