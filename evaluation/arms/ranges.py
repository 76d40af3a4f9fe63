"""The range of an arm's intensities, from its images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core import folds
from core.jobs.command import progress
from core.study import Study
from evaluation.arms.images import arm_brain, read_arm_image
from evaluation.arms.intensities import Intensities, measure_intensities


def arm_intensities(arm: str, study: Study, images: Path) -> Intensities:
    """The range of an arm's brain voxels over all scans of `study`, two passes over its images."""

    def brains() -> Iterator[np.ndarray]:
        for scan in progress(study.scans, what=f"intensities of {arm}"):
            mask = scan.read_mask()
            image = read_arm_image(images, scan, mask)
            yield image[arm_brain(images, scan, image, mask)]

    return measure_intensities(arm, brains, len(study.scans))


def fold_intensities(arm: str, study: Study, images: Path, training: Path) -> dict[str, Intensities]:
    """The arm's range for each fold, from everyone but the fold's people.

    Their images by the fold's own model are in `training/fold-<fold>`; an arm that learns nothing from a
    study has none there, since those in `images` are the same.
    """
    found = {}
    for fold, _ in folds.by_fold(study):
        own = training / folds.folder_name(fold)
        found[fold] = arm_intensities(arm, folds.training(study, fold), own if own.is_dir() else images)
    return found
