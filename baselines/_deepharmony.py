"""DeepHarmony's network, its training and its use on volumes: what needs torch (see `baselines.deepharmony`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from core.boxes import Span, spans
from mispel.checkpoints import load_training, training_tensors
from mispel.collapse import OutputWatch
from mispel.compute import ForEach
from mispel.network import SIZE_STEP, initialize, new_encoder
from mispel.passes import Learning

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


class PairLearning(Learning):
    """A network that learns a target scanner's slices from a source's, of the same people: mean absolute error, Adam.

    sources, targets : each person's volume (X, Y, Z), cut across `axis`; slices where the target holds no brain are
    left out.
    """

    losses = ("total",)
    advice = "use a lower --param learning_rate, or another seed"

    def __init__(
        self,
        network: Network,
        sources: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        axis: int,
        *,
        number: int,
        title: str,
        epochs: int,
        batch: int,
        learning_rate: float,
        device: torch.device,
    ) -> None:
        self.network, self.sources, self.targets, self.axis = network, sources, targets, axis
        self.number, self.title, self.epochs, self.batch_size, self.device = number, title, epochs, batch, device
        across = tuple(other for other in range(3) if other != axis)
        self.places = [
            (person, place) for person, volume in enumerate(targets) for place in np.flatnonzero(volume.any(across))
        ]
        self.items = len(self.places)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)

    @property
    def described(self) -> str:
        """Slices and people."""
        return f"{self.items} slices of {len(self.sources)} people"

    def new_watch(self) -> OutputWatch:
        """Of the network's slices."""
        return OutputWatch((self.title,), self.device)

    def train(self, indices: np.ndarray, watch: OutputWatch) -> Tensor:
        """One update by pairs of slices."""
        chosen = [self.places[index] for index in indices]
        slices, wanted = (
            to_network(np.stack([volumes[person].take(place, self.axis) for person, place in chosen]), self.device)
            for volumes in (self.sources, self.targets)
        )
        made = self.network(slices)
        error = (made - wanted).abs().mean()
        self.optimizer.zero_grad()
        error.backward()
        self.optimizer.step()
        watch.add(wanted, made, wanted.ne(0))
        return error.detach()[None]

    def tensors(self) -> dict[str, Tensor]:
        """The network and its Adam's state."""
        return training_tensors([self.network], [self.optimizer])

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        load_training([self.network], [self.optimizer], state)


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
