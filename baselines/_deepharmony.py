"""DeepHarmony's network, its training and its use on volumes: what needs torch (see `baselines.deepharmony`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from core.boxes import Span, spans
from core.jobs.command import progress
from mispel.compute import ForEach
from mispel.network import SIZE_STEP, initialize, new_encoder

INFERENCE_BATCH = 16


def aligned_box(mask: np.ndarray) -> tuple[Span, ...]:
    """The smallest box around a mask (X, Y, Z), not empty, whose edges are multiples of 4.

    It may reach beyond the image. Voxels keep their place on the U-Net's pooled grids whatever the box.
    """
    return tuple(
        (start // SIZE_STEP * SIZE_STEP, -(-stop // SIZE_STEP) * SIZE_STEP) for start, stop in spans(mask) or ()
    )


class Network(nn.Module):
    """Slices (B, 1, H, W) to slices, float32; H and W divisible by 4.

    MISPEL's U-Net of `width` channels gives as many feature maps; the input joins them before the 1x1
    convolution. Weights are Glorot-uniform and depend on `seed` alone.
    """

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.unet = new_encoder(width=width, embeddings=width, seed=seed)
        self.last = nn.Conv2d(width + 1, 1, kernel_size=1)
        initialize(self.last, torch.Generator().manual_seed(seed + 1))

    def forward(self, slices: Tensor) -> Tensor:
        return self.last(torch.cat([self.unet(slices), slices], dim=1))


def train(
    network: Network,
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    axis: int,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    generator: np.random.Generator,
    device: torch.device,
    what: str,
) -> list[float]:
    """Train on each person's source and target volume (X, Y, Z), cut across `axis`; each epoch's mean absolute error.

    Slices are shuffled over people and places; where the target holds no brain they are left out.
    """
    across = tuple(other for other in range(3) if other != axis)
    places = [(person, place) for person, volume in enumerate(targets) for place in np.flatnonzero(volume.any(across))]
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    errors = []
    for _ in progress(range(epochs), what=what):
        total = 0.0
        order = generator.permutation(len(places))
        for start in range(0, len(order), batch):
            chosen = [places[number] for number in order[start : start + batch]]
            slices, wanted = (
                to_network(np.stack([volumes[person].take(place, axis) for person, place in chosen]), device)
                for volumes in (sources, targets)
            )
            error = (network(slices) - wanted).abs().mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            total += float(error.detach()) * len(chosen)
        errors.append(total / len(places))
    return errors


def to_network(stack: np.ndarray, device: torch.device) -> Tensor:
    """Slices (B, H, W) as the network takes them."""
    return torch.from_numpy(stack)[:, None].to(device).contiguous(memory_format=torch.channels_last)


def harmonize(network: Network, volume: np.ndarray, axis: int, device: torch.device, for_each: ForEach) -> np.ndarray:
    """A volume (X, Y, Z) whose slices across `axis` went through the network, float32."""
    stack = np.ascontiguousarray(np.moveaxis(volume, axis, 0))
    starts = range(0, len(stack), INFERENCE_BATCH)

    def part(number: int) -> np.ndarray:
        with torch.no_grad():
            slices = to_network(stack[starts[number] : starts[number] + INFERENCE_BATCH], device)
            return network(slices)[:, 0].cpu().numpy()

    return np.moveaxis(np.concatenate(for_each(part, len(starts))), 0, axis)
