"""What tests of methods share."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from baselines.interface import Method
from core.images import save_image, save_labels
from core.study import Scan, Study
from tests.support.made_up_study import AFFINE


def fitted(method: Method, study: Study) -> Method:
    """The method, fitted on a study and ready for its scans."""
    assert method.not_applicable(study) is None
    method.fit(study)
    method.prepare(study)
    return method


def brain(image: np.ndarray, scan: Scan) -> np.ndarray:
    return image[scan.read_mask()]


def write_scans(folder: Path, images: dict[tuple[str, str], np.ndarray], masks: dict[str, np.ndarray]) -> Study:
    """A study of these images by subject and scanner, in their own unit."""
    scans = []
    for subject, mask in masks.items():
        save_labels(folder / f"{subject}_mask.nii.gz", mask, AFFINE)
    for (subject, scanner), image in images.items():
        path = folder / f"{subject}_{scanner}.nii.gz"
        save_image(path, np.where(masks[subject], image, 0), AFFINE)
        scans.append(Scan(subject, scanner, path, folder / f"{subject}_mask.nii.gz"))
    return Study(tuple(scans))


def with_covariates(study: Study, **columns) -> Study:
    return Study(
        tuple(
            dataclasses.replace(scan, covariates={name: value(scan) for name, value in columns.items()})
            for scan in study.scans
        )
    )
