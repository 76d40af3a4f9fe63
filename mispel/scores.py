"""What a batch's embeddings are worth: a step's losses, their gradients, and what a watch over outputs needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mispel.batches import Seen
from mispel.collapse import output_sums
from mispel.losses import LossWeights, step_losses
from mispel.network import decode


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


def scores(
    seen: Seen, embeddings: Tensor, coefficients: Tensor, *, weights: LossWeights, relu: bool, of_embeddings: bool
) -> Scores:
    """By torch, of embeddings (B, M, L, H, W) and coefficients (M, L).

    of_embeddings: whether their gradient is wanted, too.
    """
    leaf = embeddings.detach().requires_grad_(of_embeddings)
    outputs = decode(leaf, coefficients, relu=relu)
    losses = step_losses(weights, seen, leaf, outputs)
    by_coefficients, *by_embeddings = torch.autograd.grad(losses[-1], [coefficients, *[leaf] * of_embeddings])
    return Scores(
        torch.stack(losses).detach(),
        output_sums(seen.images, outputs.detach(), seen.depths),
        by_coefficients,
        by_embeddings[0] if by_embeddings else None,
    )
