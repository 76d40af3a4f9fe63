"""The embeddings of all slices, encoded once: in Step 2 the encoders no longer change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mispel.compute import ForEach, is_resident
from mispel.model import Model
from mispel.slices import SliceStore, new_array

ENCODING_BATCH = 4


@dataclass(frozen=True)
class EmbeddingCache:
    """For each scanner the embeddings (N, L, H, W) of a store's slices, mapped from disk.

    resident: the same on a GPU, if they were encoded there.
    """

    arrays: tuple[np.ndarray, ...]
    resident: tuple[Tensor, ...] = ()

    @property
    def dtype(self) -> np.dtype:
        """As what they are kept: float32 or float16."""
        return self.arrays[0].dtype

    def embeddings(self, indices: np.ndarray) -> Tensor:
        """Embeddings (B, M, L, H, W), float32, on the GPU if they are kept there."""
        if self.resident:
            chosen = torch.from_numpy(indices).to(self.resident[0].device)
            return torch.stack([array[chosen].float() for array in self.resident], dim=1)
        return torch.stack([torch.from_numpy(array[indices]).float() for array in self.arrays], dim=1)

    def of_scanner(self, number: int, begin: int, end: int) -> np.ndarray:
        """One scanner's embeddings of a run of slices (B, L, H x W), float32; not copied if kept as such."""
        part = np.asarray(self.arrays[number][begin:end])
        return part.reshape(*part.shape[:2], -1).astype(np.float32, copy=False)


def build_cache(model: Model, store: SliceStore, folder: Path, *, limit_gb: float, for_each: ForEach) -> EmbeddingCache:
    """Encode every slice once, in float32, into arrays in `folder`.

    They are float32, or float16 where float32 would be larger than `limit_gb` on disk; a missing scan's are 0.
    float32 has the bits of encoding the same batches anew on the same processor; batches of another make-up
    may round otherwise, since a convolution is free to add in another order.
    """
    shape = (len(store), model.coefficients.shape[1], *store.box.shape)
    dtype = np.dtype(np.float32 if 4 * len(store.scanners) * np.prod(shape) <= limit_gb * 1e9 else np.float16)

    def encode(number: int) -> np.ndarray:
        path = folder / f"embeddings-{number}.npy"
        array = new_array(path, shape, dtype)
        scanned = np.flatnonzero(store.present[:, number])
        for begin in range(0, len(scanned), ENCODING_BATCH):
            indices = scanned[begin : begin + ENCODING_BATCH]
            slices = torch.from_numpy(store.images[number][indices])[:, None].to(model.device)
            array[indices] = model.encode(number, slices).cpu().numpy()
        array.flush()
        return np.load(path, mmap_mode="c")

    arrays = tuple(for_each(encode, len(store.scanners)))
    resident: tuple[Tensor, ...] = ()
    if is_resident(model.device):
        resident = tuple(torch.from_numpy(np.array(array)).to(model.device) for array in arrays)
    return EmbeddingCache(arrays, resident)
