"""The embeddings of all slices, encoded once: in Step 2 the encoders no longer change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mispel.compute import ForEach, on_gpu
from mispel.model import Model
from mispel.slices import SliceStore, new_array

ENCODING_BATCH = 4


@dataclass(frozen=True)
class EmbeddingCache:
    """For each scanner the embeddings (N, L, H, W) of a store's slices, float32 or float16.

    arrays: mapped from disk. resident: on the GPU, if they were encoded there, and then there are no arrays.
    """

    arrays: tuple[np.ndarray, ...]
    resident: tuple[Tensor, ...] = ()

    @property
    def dtype(self) -> np.dtype:
        """As what they are kept."""
        return self.resident[0][:0].cpu().numpy().dtype if self.resident else self.arrays[0].dtype

    def embeddings(self, indices: np.ndarray | Tensor) -> Tensor:
        """Embeddings (B, M, L, H, W), float32, on the GPU if they are kept there."""
        if self.resident:
            chosen = torch.as_tensor(indices, device=self.resident[0].device)
            return torch.stack([array.index_select(0, chosen).float() for array in self.resident], dim=1)
        numbers = np.asarray(indices)
        return torch.stack([torch.from_numpy(array[numbers]).float() for array in self.arrays], dim=1)

    def of_scanner(self, number: int, begin: int, end: int) -> np.ndarray:
        """One scanner's embeddings of a run of slices (B, L, H x W), float32; not copied if mapped as such."""
        between = slice(begin, end)
        part = self.resident[number][between].cpu().numpy() if self.resident else self.arrays[number][between]
        return np.asarray(part).reshape(*part.shape[:2], -1).astype(np.float32, copy=False)


def build_cache(model: Model, store: SliceStore, folder: Path, *, limit_gb: float, for_each: ForEach) -> EmbeddingCache:
    """Encode every slice once, in float32, into arrays in `folder`, or on the GPU where the model is there.

    They are float32, or float16 where float32 would be larger than `limit_gb`; a missing scan's are 0.
    float32 has the bits of encoding the same batches anew on the same processor; batches of another make-up
    may round otherwise, since a convolution is free to add in another order.
    """
    shape = (len(store), model.coefficients.shape[1], *store.box.shape)
    half = 4 * len(store.scanners) * np.prod(shape) > limit_gb * 1e9

    def encoded(number: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        scanned = np.flatnonzero(store.present[:, number])
        for begin in range(0, len(scanned), ENCODING_BATCH):
            indices = scanned[begin : begin + ENCODING_BATCH]
            slices = torch.from_numpy(store.images[number][indices])[:, None].to(model.device)
            yield indices, model.encode(number, slices)

    def on_device(number: int) -> Tensor:
        kept = torch.zeros(shape, dtype=torch.float16 if half else torch.float32, device=model.device)
        for indices, embeddings in encoded(number):
            kept[torch.as_tensor(indices, device=model.device)] = embeddings.to(kept.dtype)
        return kept

    def on_disk(number: int) -> np.ndarray:
        path = folder / f"embeddings-{number}.npy"
        array = new_array(path, shape, np.float16 if half else np.float32)
        for indices, embeddings in encoded(number):
            array[indices] = embeddings.numpy()
        array.flush()
        return np.load(path, mmap_mode="c")

    if on_gpu(model.device):
        return EmbeddingCache((), tuple(for_each(on_device, len(store.scanners))))
    return EmbeddingCache(tuple(for_each(on_disk, len(store.scanners))))
