"""The kernel of losses and gradients against torch's operations and its gradients, where triton is."""

from __future__ import annotations

import pytest
import torch

from mispel import scores
from mispel.batches import Seen
from mispel.losses import LossWeights
from tests.support.kernels import DEVICE, drawn

# isort: split
from mispel import loss_kernels

SLICES, SCANNERS, MAPS, HEIGHT, WIDTH = 3, 3, 5, 12, 20


@pytest.mark.parametrize("weights", [LossWeights.first_step(1.0, 0.3), LossWeights.second_step(1.0, 4.0)])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("of_brain", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_losses_and_gradients_are_those_of_torch(weights, relu, of_brain, missing):
    images, maps = drawn(SLICES, SCANNERS, HEIGHT, WIDTH), drawn(SCANNERS, SLICES, HEIGHT, WIDTH, MAPS + 3)
    embeddings = maps[..., :MAPS].permute(1, 0, 4, 2, 3)
    coefficients = drawn(SCANNERS, MAPS).requires_grad_()
    depths = drawn(SLICES, SCANNERS, HEIGHT + 1, WIDTH)[:, :, :HEIGHT].gt(0.5).to(torch.uint8).contiguous()
    present = torch.ones(SLICES, SCANNERS, device=DEVICE)
    if missing:
        present[0, 1] = present[2, 0] = present[2, 2] = 0
    region = depths.gt(0).any(dim=1).float() if of_brain else None

    seen = Seen(images, depths, present, region)
    wanted, found = (
        by(seen, embeddings, coefficients, weights=weights, relu=relu, of_embeddings=True)
        for by in (scores.scores, loss_kernels.scores)
    )
    for name in ("losses", "sums", "of_coefficients", "of_embeddings"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert torch.allclose(ours, theirs, rtol=2e-5, atol=1e-6, equal_nan=True), name
