"""Slices of unpaired scans for networks: in units of their scan's median, and back into a volume."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from baselines._deepharmony import INFERENCE_BATCH
from mispel.compute import ForEach
from mispel.slices import SliceStore


def medians_of(store: SliceStore, scanner: int) -> np.ndarray:
    """For each slice (N,) the median over the brain of the scan that it is of; 1 where there is no scan."""
    return units_of(store, scanner, np.median)


def units_of(store: SliceStore, scanner: int, unit: Callable[[np.ndarray], np.floating]) -> np.ndarray:
    """As `medians_of`, of another number by which intensities are divided."""
    found = np.ones(len(store))
    for subject in dict.fromkeys(store.subjects.tolist()):
        own = np.flatnonzero(store.subjects == subject)
        brain = np.array(store.depths[scanner][own[0] : own[-1] + 1]) > 0
        if store.present[own[0], scanner] and brain.any():
            found[own] = unit(np.array(store.images[scanner][own[0] : own[-1] + 1])[brain])
    return found


def all_medians(store: SliceStore) -> np.ndarray:
    """`medians_of` every scanner (N, M)."""
    return np.stack([medians_of(store, scanner) for scanner in range(len(store.scanners))], axis=1)


def slices_with_brain(store: SliceStore, scanner: int) -> np.ndarray:
    """The numbers of a scanner's slices that hold brain."""
    brain = np.array([layer.any() for layer in store.depths[scanner]])
    return np.flatnonzero(store.present[:, scanner] & brain)


def harmonized(
    network: nn.Module, stack: np.ndarray, brain: np.ndarray, *, device: torch.device, for_each: ForEach
) -> np.ndarray:
    """Slices (S, H, W), in units of their scan's median, as a network of slices and masks gives them."""
    starts = range(0, len(stack), INFERENCE_BATCH)

    def part(number: int) -> np.ndarray:
        chosen = slice(starts[number], starts[number] + INFERENCE_BATCH)
        slices, mask = (
            torch.from_numpy(np.ascontiguousarray(values[chosen], dtype=np.float32))[:, None].to(device)
            for values in (stack, brain)
        )
        with torch.no_grad():
            found: np.ndarray = network(slices, mask)[:, 0].cpu().numpy()
        return found

    made: Callable[[int], np.ndarray] = part
    return np.concatenate(for_each(made, len(starts)))


def brain_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of values (B, 1, H, W) in a mask."""
    return (values * mask).sum() / mask.sum().clamp(min=1)
