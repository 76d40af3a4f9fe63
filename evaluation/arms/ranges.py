"""The range of an arm's intensities, from its images: at once, or from counts of batches of people."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from core import folds
from core.errors import InputError
from core.files import write_beside
from core.jobs.command import progress
from core.study import Study
from evaluation.arms.images import arm_brain, read_arm_image
from evaluation.arms.intensities import PERCENTS, Intensities, join_intensities, measure_intensities
from evaluation.arms.percentiles import Counts

WHOLE = ""
"""What stands for the fold where there are none."""

Blocks = Callable[[], Iterable[np.ndarray]]


@dataclass(frozen=True)
class ArmImages:
    """Where an arm's images of some people lie.

    training : the folder of those by the folds' own models, where people are divided into folds, see `of_fold`.
    """

    arm: str
    study: Study
    images: Path
    training: Path | None = None

    def folds(self) -> list[str]:
        """The names of the ranges that are taken: one a fold, or `WHOLE`."""
        return [WHOLE] if self.training is None else [fold for fold, _ in folds.by_fold(self.study)]

    def of_fold(self, fold: str, subjects: Sequence[str] | None = None) -> tuple[Blocks, int]:
        """Brain voxels from which a fold's range is taken, a vector a scan, and how many scans; of `subjects` alone.

        They are everyone's but the fold's people's, and of no scanner that is left out. Their images by the fold's
        own model are in `training/fold-<fold>`; an arm that learns nothing from a study has none there, since those in
        `images` are the same.
        """
        chosen = self.study if subjects is None else self.study.select(subjects)
        chosen = chosen.where(lambda scan: scan.scanner != self.study.left_out)
        folder = self.images
        if self.training is not None:
            _, chosen = folds.parted(chosen, fold)
            own = self.training / folds.folder_name(fold)
            folder = own if own.is_dir() else folder

        def brains() -> Iterator[np.ndarray]:
            for scan in progress(chosen.scans, what=f"intensities of {self.arm}"):
                mask = scan.read_mask()
                image = read_arm_image(folder, scan, mask)
                yield image[arm_brain(folder, scan, image, mask)]

        return brains, len(chosen.scans)

    def ranges(self) -> dict[str, Intensities]:
        """The arm's range by fold, two passes over its images."""
        return {fold: measure_intensities(self.arm, *self.of_fold(fold)) for fold in self.folds()}

    def counts(self, subjects: Sequence[str]) -> dict[str, Counts]:
        """By fold what these people's images add to the range, two passes over them."""
        return {fold: Counts.of(*self.of_fold(fold, subjects), PERCENTS) for fold in self.folds()}


def join_ranges(batches: Sequence[tuple[ArmImages, Sequence[str], Mapping[str, Counts]]]) -> dict[str, Intensities]:
    """The arm's range by fold from batches: where their images lie, whose they are, and their counts."""
    first = batches[0][0]
    return {
        fold: join_intensities(
            first.arm,
            [(counts[fold], images.of_fold(fold, subjects)[0]) for images, subjects, counts in batches],
        )
        for fold in first.folds()
    }


def write_counts(path: Path, subjects: Sequence[str], counts: Mapping[str, Counts]) -> None:
    """Write what some people's images add to the ranges, as .npz."""
    arrays = {"subjects": np.array(subjects)} | {
        f"{field.name}-{fold}": np.asarray(getattr(found, field.name))
        for fold, found in counts.items()
        for field in fields(Counts)
    }
    with write_beside(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]  # none is called allow_pickle


def read_counts(path: Path) -> tuple[list[str], dict[str, Counts]]:
    """Read what `write_counts` wrote: whose images, and their counts by fold. Raises `InputError` for another file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        folds_there = [name.partition("-")[2] for name in arrays if name.startswith("upper-")]
        counts = {fold: Counts(*(arrays[f"{field.name}-{fold}"] for field in fields(Counts))) for fold in folds_there}
        return arrays["subjects"].tolist(), counts
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        raise InputError(f"{path}: no counts of intensities; make them with `count-intensities`") from None
