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
from evaluation.arms.percentiles import Counts, at_percents, percentiles

PERCENTS = (0.0, 0.5, 99.5, 100.0)
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


def measure_intensities(method: str, blocks: Callable[[], Iterable[np.ndarray]], scans: int) -> Intensities:
    """The arm's `Intensities` from the brain voxels of its scans, one float32 vector a scan.

    Raises `InputError` where the 0.5th and 99.5th percentile are the same: such an arm has no
    contrast, and no map onto RAW's scale.
    """
    return intensities_of(method, scans, *percentiles(blocks, PERCENTS))


def join_intensities(method: str, batches: Sequence[tuple[Counts, Callable[[], Iterable[np.ndarray]]]]) -> Intensities:
    """What `measure_intensities` gives of the scans of all batches, from their counts.

    Beside its counts each batch has its brain voxels, of which only one that lies far from the others is asked
    (`Counts.lower`). Raises `InputError` as `measure_intensities` does.
    """

    def lower_of(bins: Sequence[int]) -> np.ndarray:
        return np.sum([counts.lower(bins, blocks) for counts, blocks in batches], axis=0)

    upper = np.sum([counts.upper for counts, _ in batches], axis=0)
    scans = int(sum(counts.scans for counts, _ in batches))
    return intensities_of(method, scans, *at_percents(PERCENTS, upper, lower_of))


def intensities_of(method: str, scans: int, values: np.ndarray, voxels: int) -> Intensities:
    """An arm's `Intensities` from its values (4,) at `PERCENTS`; raises `InputError` for an arm without contrast."""
    minimum, low, high, maximum = map(float, values)
    if not high > low:
        raise InputError(
            f"method '{method}': 99 % of its brain voxels are {low:g}, so there is no contrast to "
            "compare or segment; look at its images"
        )
    return Intensities(method, low, high, minimum, maximum, scans, voxels)


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
