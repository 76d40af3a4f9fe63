"""The kernel of losses and gradients against torch's operations and its gradients; as `test_encoder_kernels`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os

import pytest
import torch
from packaging.version import Version

from mispel import scores
from mispel.losses import LossWeights

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton comes with torch for GPUs", allow_module_level=True)
if not torch.cuda.is_available():
    if Version(importlib.metadata.version("triton")) < Version("3.9"):
        pytest.skip("this triton's interpreter doesn't know numpy 2", allow_module_level=True)
    os.environ["TRITON_INTERPRET"] = "1"  # read as triton is imported

from mispel import loss_kernels

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SLICES, SCANNERS, MAPS, HEIGHT, WIDTH = 3, 3, 5, 12, 20


def drawn(*shape):
    return torch.randn(*shape, device=DEVICE, generator=torch.Generator(DEVICE).manual_seed(sum(shape)))


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

    batch = images, depths, embeddings, coefficients, present, region
    wanted, found = (
        by(*batch, weights=weights, relu=relu, of_embeddings=True) for by in (scores.scores, loss_kernels.scores)
    )
    for name in ("losses", "sums", "of_coefficients", "of_embeddings"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert torch.allclose(ours, theirs, rtol=2e-5, atol=1e-6, equal_nan=True), name
