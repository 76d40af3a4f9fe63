"""Exact percentiles of more values than memory holds, of one batch of them or of several joined.

A float32 is an integer of 32 bits in its order. A first pass counts values by its upper 16 bits, a second one by its
lower 16 bits within the few upper ones that matter; so memory is a block and some 65536 counts, and nothing is
binned. (`numpy.percentile` gives the same from one array, which for 72 scans at 1 mm would be half a gigabyte and its
copies.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InputError

BINS = 1 << 16
WIDER = 2.0
"""A batch keeps its values from half to twice a percentile's distance from its nearer end. Batches of one study whose
percentile lies elsewhere are rare, and their images are read again then."""


@dataclass(frozen=True)
class Counts:
    """What a batch tells of its values, so that percentiles of all batches can be told exactly.

    upper : how many there are by the upper 16 bits of their keys, (65536,).
    kept : the upper 16 bits of which all values are kept, (K,). keys : these values' keys, (V,).
    scans : how many scans they are from.
    """

    upper: np.ndarray
    kept: np.ndarray
    keys: np.ndarray
    scans: int

    @classmethod
    def of(cls, blocks: Callable[[], Iterable[np.ndarray]], scans: int, percents: Sequence[float]) -> Counts:
        """Of the values of `blocks`, see `percentiles`; what is kept is what lies near `percents`."""
        upper = upper_counts(blocks())
        kept = _near(upper, percents)
        keys = [np.empty(0, np.uint32)]
        for block in blocks():
            found = ordered_keys(block)
            keys.append(found[np.isin(found >> 16, kept)])
        return cls(upper, kept, np.sort(np.concatenate(keys)), scans)

    def lower(self, bins: Sequence[int], blocks: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
        """Counts by the lower 16 bits within some upper ones, (bins, 65536); of `blocks` where they weren't kept."""
        asked = [upper for upper in bins if self.upper[upper]]
        return lower_counts([self.keys] if np.isin(asked, self.kept).all() else map(ordered_keys, blocks()), bins)


def percentiles(blocks: Callable[[], Iterable[np.ndarray]], percents: Sequence[float]) -> tuple[np.ndarray, int]:
    """Exact percentiles of all values of `blocks`, of which only one is in memory at a time.

    `blocks` is called twice and gives the same finite float32 vectors each time. Returns the percentiles (P,) by
    linear interpolation, as float64, and the number of values. Raises `InputError` if there are none.
    """
    upper = upper_counts(blocks())
    return at_percents(percents, upper, lambda bins: lower_counts(map(ordered_keys, blocks()), bins))


def at_percents(
    percents: Sequence[float], upper: np.ndarray, lower_of: Callable[[Sequence[int]], np.ndarray]
) -> tuple[np.ndarray, int]:
    """Percentiles (P,) and the number of values, from counts by upper bits (65536,) and, of some, by lower bits.

    `lower_of` gives the latter (bins, 65536). Raises `InputError` if there are no values.
    """
    below = np.concatenate([[0], np.cumsum(upper)])
    total = int(below[-1])
    if total == 0:
        raise InputError("no brain voxels: percentiles need at least one scan with a mask")
    positions = np.asarray(percents, dtype=np.float64) / 100.0 * (total - 1)
    ranks = np.unique(np.concatenate([np.floor(positions), np.ceil(positions)]).astype(np.int64))
    uppers = np.searchsorted(below, ranks, side="right") - 1
    bins = np.unique(uppers)
    upto = np.cumsum(lower_of(bins.tolist()), axis=1)
    at_ranks = [
        (int(upper) << 16) + int(np.searchsorted(upto[np.searchsorted(bins, upper)], rank - below[upper], side="right"))
        for rank, upper in zip(ranks, uppers, strict=True)
    ]
    found = values_of_keys(np.array(at_ranks, dtype=np.uint32)).astype(np.float64)
    return np.interp(positions, ranks, found), total


def upper_counts(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """How many values of `blocks` there are by the upper 16 bits of their keys, (65536,)."""
    counts = np.zeros(BINS, dtype=np.int64)
    for block in blocks:
        counts += np.bincount(ordered_keys(block) >> 16, minlength=BINS)
    return counts


def lower_counts(keys: Iterable[np.ndarray], bins: Sequence[int]) -> np.ndarray:
    """How many keys there are by their lower 16 bits, within those whose upper ones are a bin's: (bins, 65536)."""
    counts = np.zeros((len(bins), BINS), dtype=np.int64)
    for block in keys:
        tops = block >> 16
        for row, upper in zip(counts, bins, strict=True):
            row += np.bincount(block[tops == upper] & 0xFFFF, minlength=BINS)
    return counts


def ordered_keys(values: np.ndarray) -> np.ndarray:
    """Unsigned integers (N,) that are in the order of the finite float32 `values` (N,)."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))


def values_of_keys(keys: np.ndarray) -> np.ndarray:
    """The float32 values that `ordered_keys` made `keys` (N,) of."""
    keys = keys.astype(np.uint32)
    return np.where(keys >> 31, keys & np.uint32(0x7FFFFFFF), ~keys).astype(np.uint32).view(np.float32)


def _near(upper: np.ndarray, percents: Sequence[float]) -> np.ndarray:
    """The upper bits of the values near these percentiles, from counts (65536,); none where there are no values."""
    upto = np.cumsum(upper)
    near = np.zeros(BINS, bool)
    for percent in percents:
        share = np.array([percent / WIDER, percent * WIDER])
        if percent > 50:
            share = 100.0 - (100.0 - percent) * np.array([WIDER, 1 / WIDER])
        first, last = np.searchsorted(upto, share / 100.0 * (upto[-1] - 1), side="right")
        near[first : last + 1] = True
    return np.flatnonzero(near & (upper > 0))
