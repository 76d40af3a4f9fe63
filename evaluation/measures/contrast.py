"""How well gray and white matter are told apart in one image: contrast-to-noise and joint variation.

Both are taken over voxels that are the same for every arm, so an arm can't raise them by moving the border
between the tissues: the truth's, where it is known, else RAW's (`Person.white_and_gray`). RAW's own borders follow its
noise and contrast, which favors RAW and averages of it; a mean of RAW's scans passed even the noise-free image
there. Neither knows what is noise and what is anatomy: an arm
that makes everyone alike, or smooths, may score well here and must be seen to lose elsewhere.
"""

from __future__ import annotations

import math

import numpy as np

from evaluation.measures.interface import Measure, Person, Summary

TABLE = "contrast"
MEASURES = (
    Measure(
        name="cnr",
        label="Contrast-to-noise",
        lowest=0.0,
        highest=math.inf,
        better="higher",
        definition=(
            "|mean WM - mean GM| / sqrt(variance in WM + variance in GM), over the brain voxels of the true labels "
            "where they are known, else over those that RAW's segmentation gives to the tissue on at least half of the "
            "person's scanners."
        ),
        reference="Magnotta and Friedman 2006, without the background's term: scans are brain-extracted",
        table=TABLE,
        column="cnr",
        summary=Summary(asks="nearer"),
    ),
    Measure(
        name="cjv",
        label="Coefficient of joint variation",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition="(SD in WM + SD in GM) / |mean WM - mean GM|, over the same voxels as contrast-to-noise.",
        reference="Hui et al. 2010; Ganzetti et al. 2016",
        table=TABLE,
        column="cjv",
    ),
)


def contrast_to_noise(white: np.ndarray, gray: np.ndarray) -> float:
    """|mean - mean| over the root of the summed variances of white and gray matter's intensities (N,), (M,).

    Range 0 upwards, higher is better, no unit; NaN where either is empty or both are constant.
    """
    spread = math.hypot(_deviation(white), _deviation(gray))
    return _ratio(abs(_mean(white) - _mean(gray)), spread)


def joint_variation(white: np.ndarray, gray: np.ndarray) -> float:
    """(SD + SD) / |mean - mean| of white and gray matter's intensities (N,), (M,).

    Range 0 upwards, lower is better, no unit; NaN where either is empty or their means are equal.
    """
    return _ratio(_deviation(white) + _deviation(gray), abs(_mean(white) - _mean(gray)))


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else math.nan


def _deviation(values: np.ndarray) -> float:
    return float(values.std(dtype=np.float64)) if values.size else math.nan


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def of_person(person: Person) -> list[dict]:
    """A row a scan."""
    rows = []
    for scanner, image in person.images.items():
        white, gray = (image.ravel()[places] for places in person.white_and_gray[scanner])
        rows.append({"scanner": scanner, "cnr": contrast_to_noise(white, gray), "cjv": joint_variation(white, gray)})
    return rows
