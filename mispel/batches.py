"""Slices of all scanners as tensors, and the order in which training sees them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mispel.compute import is_resident
from mispel.slices import SliceStore


class Batches:
    """A store's slices as tensors on a device: read from disk for the CPU, all kept on a GPU."""

    def __init__(self, store: SliceStore, device: torch.device, *, region: str) -> None:
        self.store = store
        self.device = device
        self.region_kind = region
        self.present = torch.from_numpy(store.present.astype(np.float32)).to(device)
        self._resident = None
        if is_resident(device):
            self._resident = [torch.from_numpy(np.array(images)).to(device) for images in store.images]

    def images(self, indices: np.ndarray) -> Tensor:
        """Slices (B, M, H, W), float32."""
        if self._resident is not None:
            chosen = torch.from_numpy(indices).to(self.device)
            return torch.stack([images[chosen] for images in self._resident], dim=1)
        return torch.from_numpy(np.stack([images[indices] for images in self.store.images], axis=1))

    def region(self, images: Tensor) -> Tensor | None:
        """The pixels that the losses count (B, H, W), or None for all; brain is where any scanner isn't 0."""
        return images.ne(0).any(dim=1).float() if self.region_kind == "brain" else None


def shuffled_batches(count: int, *, size: int, draw: int, seed: int, step: int, epoch: int) -> list[np.ndarray]:
    """The batches of one epoch: slice numbers in an order that depends on seed, step and epoch alone.

    `draw` > 0 takes only so many slices. No generator is carried from epoch to epoch, so that a resumed
    training draws what an undisturbed one would.
    """
    order = np.random.default_rng([seed, step, epoch]).permutation(count)[: draw or count]
    return [order[begin : begin + size] for begin in range(0, len(order), size)]
