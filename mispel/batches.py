"""Slices of all scanners as tensors, and the order in which training sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mispel.compute import on_gpu
from mispel.slices import SliceStore


@dataclass(frozen=True)
class Seen:
    """What is seen of a batch's slices, B of M scanners each.

    images, depths (B, M, H, W): float32, and how deep in the brain their voxels lie, uint8. present: (B, M), 1 where
    a slice was scanned. region: the pixels that the losses count (B, H, W), or None for all.
    """

    images: Tensor
    depths: Tensor
    present: Tensor
    region: Tensor | None


class Batches:
    """A store's slices as tensors on a device: read from disk for the CPU, all kept on a GPU.

    `region`: the pixels that the losses count, "box" for all or "brain" for those where any scanner has brain.
    """

    def __init__(self, store: SliceStore, device: torch.device, *, region: str) -> None:
        self.store = store
        self.device = device
        self.region_kind = region
        self.present = torch.from_numpy(store.present.astype(np.float32)).to(device)
        self._resident: dict[str, Tensor] = {}
        if on_gpu(device):
            for kind in ("images", "depths"):
                arrays = getattr(store, kind)
                dtype = torch.from_numpy(np.array(arrays[0][:0])).dtype
                kept = torch.empty(len(arrays), *arrays[0].shape, dtype=dtype, device=device)
                for of_scanner, array in zip(kept, arrays, strict=True):
                    of_scanner.copy_(torch.from_numpy(np.array(array)))
                self._resident[kind] = kept

    def images(self, indices: np.ndarray | Tensor) -> Tensor:
        """Slices (B, M, H, W), float32, by their numbers: an array, or a tensor on the device."""
        return self._chosen("images", indices)

    def depths(self, indices: np.ndarray | Tensor) -> Tensor:
        """How deep in the brain their voxels lie (B, M, H, W), uint8; 0 is no brain."""
        return self._chosen("depths", indices)

    def seen(self, indices: np.ndarray | Tensor) -> Seen:
        """All of some slices, by their numbers."""
        depths = self.depths(indices)
        return Seen(self.images(indices), depths, self.present[indices], self.region(depths))

    def _chosen(self, kind: str, indices: np.ndarray | Tensor) -> Tensor:
        if self._resident:
            chosen = torch.as_tensor(indices, device=self.device)
            return self._resident[kind].index_select(1, chosen).transpose(0, 1)
        numbers = np.asarray(indices)
        return torch.from_numpy(np.stack([array[numbers] for array in getattr(self.store, kind)], axis=1))

    def region(self, depths: Tensor) -> Tensor | None:
        """The pixels that the losses count (B, H, W), by the depths of their voxels, or None for all."""
        return depths.gt(0).any(dim=1).float() if self.region_kind == "brain" else None


def shuffled_batches(count: int, *, size: int, seed: int, step: int, epoch: int) -> list[np.ndarray]:
    """The batches of one epoch: slice numbers in an order that depends on seed, step and epoch alone.

    No generator is carried from epoch to epoch, so that a resumed training draws what an undisturbed one would.
    """
    order = np.random.default_rng([seed, step, epoch]).permutation(count)
    return [order[begin : begin + size] for begin in range(0, len(order), size)]
