"""What a batch's embeddings are worth: a step's losses, their gradients, and what a watch over outputs needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mispel.collapse import output_sums
from mispel.network import decode


@dataclass(frozen=True)
class LossWeights:
    """Of the losses in a step's total; a coupling of None is a step without it, whose coupling is NaN."""

    reconstruction: float
    coupling: float | None
    harmonization: float


@dataclass(frozen=True)
class Scores:
    """Of a batch of B slices of M scanners.

    losses: reconstruction, coupling, harmonization and total (4,). sums: as `mispel.collapse.output_sums` (6, M).
    of_coefficients (M, L), of_embeddings (B, M, L, H, W) or None: the total's gradients.
    """

    losses: Tensor
    sums: Tensor
    of_coefficients: Tensor
    of_embeddings: Tensor | None


def weighted(weights: LossWeights, reconstruction: Tensor, coupling: Tensor, harmonization: Tensor) -> Tensor:
    """The losses and their total (4,)."""
    total = weights.reconstruction * reconstruction + weights.harmonization * harmonization
    if weights.coupling is None:
        coupling = torch.full_like(total, math.nan)
    else:
        total = total + weights.coupling * coupling
    return torch.stack([reconstruction, coupling, harmonization, total])


def by_operations(
    losses: Callable[[Tensor, Tensor], tuple[Tensor, ...]],
    images: Tensor,
    depths: Tensor,
    embeddings: Tensor,
    coefficients: Tensor,
    *,
    relu: bool,
    of_embeddings: bool,
) -> Scores:
    """By torch: `losses` gives the four of embeddings and outputs (B, M, H, W)."""
    leaf = embeddings.detach().requires_grad_(of_embeddings)
    outputs = decode(leaf, coefficients, relu=relu)
    found = losses(leaf, outputs)
    by_coefficients, *by_embeddings = torch.autograd.grad(found[-1], [coefficients, *[leaf] * of_embeddings])
    return Scores(
        torch.stack(found).detach(),
        output_sums(images, outputs.detach(), depths),
        by_coefficients,
        by_embeddings[0] if by_embeddings else None,
    )
