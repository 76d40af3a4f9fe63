"""An arm's intensities over all its scans, and the one rule by which they reach the segmenter.

RAW goes in multiplied by 1000. Every other arm first goes through ONE affine map an arm, which takes
its 0.5th and 99.5th percentile (brain voxels of all its scans) to RAW's. So an arm that is an affine
copy of RAW gives RAW's segmentation. Held out, there is a map a fold, from the training scans alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.files import read_json, write_json
from core.names import SEGMENTER_SCALE

LOW_PERCENTILE = 0.5
HIGH_PERCENTILE = 99.5
SMALLEST_BRAIN_INTENSITY = 1e-3
"""What a brain voxel at or below 0 becomes, where the brain's mean is 1000.

Small enough that no positive intensity of RAW is moved, and above 0, since the segmenter takes a
logarithm and reads 0 as background.
"""


@dataclass(frozen=True)
class Intensities:
    """An arm's range: `low` and `high` are its 0.5th and 99.5th percentile over brain voxels."""

    method: str
    low: float
    high: float
    minimum: float
    maximum: float
    scans: int
    voxels: int

    @property
    def data_range(self) -> float:
        """high - low, in the arm's own unit."""
        return self.high - self.low

    def write(self, path: Path | str) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path | str, fold: str = "") -> Intensities:
        """Read what `write` or `write_by_fold` wrote: the range that images of people of `fold` are judged by.

        Raises `InputError` for a file that isn't that, or has no range for that fold.
        """
        content = read_json(path)
        if "folds" in content:
            if fold not in content["folds"]:
                raise InputError(
                    f"{path}: ranges of fold {', '.join(content['folds'])}, none for '{fold}'; take them anew"
                )
            content = content["folds"][fold]
        try:
            return cls(**content)
        except TypeError:
            raise InputError(
                f"{path}: not an arm's intensities; make it with `python -m evaluation intensities`"
            ) from None


def write_by_fold(path: Path | str, folds: Mapping[str, Intensities]) -> None:
    """Write an arm's range for each fold, taken from the images of the people that the fold's model was fitted on."""
    write_json(path, {"folds": {fold: asdict(intensities) for fold, intensities in folds.items()}})


def ordered_keys(values: np.ndarray) -> np.ndarray:
    """Unsigned integers (N,) that are in the order of the finite float32 `values` (N,)."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))


def values_of_keys(keys: np.ndarray) -> np.ndarray:
    """The float32 values that `ordered_keys` made `keys` (N,) of."""
    keys = keys.astype(np.uint32)
    return np.where(keys >> 31, keys & np.uint32(0x7FFFFFFF), ~keys).astype(np.uint32).view(np.float32)


def percentiles(blocks: Callable[[], Iterable[np.ndarray]], percents: Sequence[float]) -> tuple[np.ndarray, int]:
    """Exact percentiles of all values of `blocks`, of which only one is in memory at a time.

    `blocks` is called twice and gives the same finite float32 vectors each time. The first pass
    counts values by the upper 16 bits of an integer in their order, the second by the lower 16 bits
    within the few upper ones that matter; so memory is a block and some 65536 counts, and nothing is
    binned. (`numpy.percentile` gives the same from one array, which for 72 scans at 1 mm would be
    half a gigabyte and its copies.)

    Returns the percentiles (P,) by linear interpolation, as float64, and the number of values.
    Raises `InputError` if there are none.
    """
    upper_counts = np.zeros(1 << 16, dtype=np.int64)
    for block in blocks():
        upper_counts += np.bincount(ordered_keys(block) >> 16, minlength=1 << 16)
    below = np.concatenate([[0], np.cumsum(upper_counts)])
    total = int(below[-1])
    if total == 0:
        raise InputError("no brain voxels: percentiles need at least one scan with a mask")
    positions = np.asarray(percents, dtype=np.float64) / 100.0 * (total - 1)
    ranks = np.unique(np.concatenate([np.floor(positions), np.ceil(positions)]).astype(np.int64))
    uppers = np.searchsorted(below, ranks, side="right") - 1
    lower_counts = {int(upper): np.zeros(1 << 16, dtype=np.int64) for upper in uppers}
    for block in blocks():
        keys = ordered_keys(block)
        tops = keys >> 16
        for upper, counts in lower_counts.items():
            counts += np.bincount(keys[tops == upper] & 0xFFFF, minlength=1 << 16)
    at_ranks = [
        (int(upper) << 16)
        + int(np.searchsorted(np.cumsum(lower_counts[int(upper)]), rank - below[upper], side="right"))
        for rank, upper in zip(ranks, uppers, strict=True)
    ]
    found = values_of_keys(np.array(at_ranks, dtype=np.uint32)).astype(np.float64)
    return np.interp(positions, ranks, found), total


def measure_intensities(method: str, blocks: Callable[[], Iterable[np.ndarray]], scans: int) -> Intensities:
    """The arm's `Intensities` from the brain voxels of its scans, one float32 vector a scan.

    Raises `InputError` where the 0.5th and 99.5th percentile are the same: such an arm has no
    contrast, and no map onto RAW's scale.
    """
    (minimum, low, high, maximum), voxels = percentiles(blocks, (0.0, LOW_PERCENTILE, HIGH_PERCENTILE, 100.0))
    if not high > low:
        raise InputError(
            f"method '{method}': 99 % of its brain voxels are {low:g}, so there is no contrast to "
            "compare or segment; look at its images"
        )
    return Intensities(
        method=method,
        low=float(low),
        high=float(high),
        minimum=float(minimum),
        maximum=float(maximum),
        scans=scans,
        voxels=voxels,
    )


def affine_to_reference(arm: Intensities, reference: Intensities) -> tuple[float, float]:
    """Slope and intercept of the arm's one affine map onto the reference's scale; 1, 0 for itself."""
    slope = reference.data_range / arm.data_range
    return slope, reference.low - slope * arm.low


def on_reference_scale(image: np.ndarray, mask: np.ndarray, arm: Intensities, reference: Intensities) -> np.ndarray:
    """An arm's image (X, Y, Z) on RAW's scale, float32; 0 outside the mask."""
    slope, intercept = affine_to_reference(arm, reference)
    mapped = np.zeros(image.shape, dtype=np.float32)
    mapped[mask] = image[mask].astype(np.float64) * slope + intercept
    return mapped


def map_to_reference(image: np.ndarray, mask: np.ndarray, arm: Intensities, reference: Intensities) -> np.ndarray:
    """An arm's image (X, Y, Z) as it enters the segmenter: on RAW's scale, x 1000, float32.

    Voxels of the mask are kept above 0 (those at or below it become 0.001), all others are 0.
    """
    mapped = on_reference_scale(image, mask, arm, reference) * np.float32(SEGMENTER_SCALE)
    mapped[mask] = np.maximum(mapped[mask], np.float32(SMALLEST_BRAIN_INTENSITY))
    return mapped
