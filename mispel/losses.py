"""The paper's losses, Eq. 2 to 6, as means over the slices of a batch.

Shapes: B slices, M scanners, L embeddings, H x W pixels. `present` (B, M) is 1 where a slice was
scanned and 0 where the scan is missing; Eq. 2, 3 and 5 then run over the scanners and pairs present and
are normalized by their number, so that a complete study gives the paper's sums. `region` (B, H, W) is 1
for the pixels that count; without it all do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from mispel.batches import Seen


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


@dataclass(frozen=True)
class LossWeights:
    """Of the losses in a step's total; a coupling of None is a step that has none."""

    reconstruction: float
    coupling: float | None
    harmonization: float

    @classmethod
    def first_step(cls, lambda1: float, lambda2: float) -> LossWeights:
        """Eq. 4."""
        return cls(lambda1, lambda2, 0.0)

    @classmethod
    def second_step(cls, lambda3: float, lambda4: float) -> LossWeights:
        """Eq. 6."""
        return cls(lambda3, None, lambda4)

    def losses(self, reconstruction: Tensor, coupling: Tensor | None, harmonization: Tensor) -> tuple[Tensor, ...]:
        """Reconstruction, coupling (NaN where there is none), harmonization and the total."""
        total = self.reconstruction * reconstruction
        if self.harmonization:
            total = total + self.harmonization * harmonization
        if self.coupling is None or coupling is None:
            return reconstruction, torch.full_like(total, math.nan), harmonization, total
        return reconstruction, coupling, harmonization, total + self.coupling * coupling


def step_losses(weights: LossWeights, seen: Seen, embeddings: Tensor, outputs: Tensor) -> tuple[Tensor, ...]:
    """A step's losses and their total; a harmonization loss of weight 0 isn't learned from."""
    present, region = seen.present, seen.region
    return weights.losses(
        reconstruction_loss(seen.images, outputs, present, region),
        None if weights.coupling is None else coupling_loss(embeddings, present, region),
        harmonization_loss(outputs if weights.harmonization else outputs.detach(), present, region),
    )
