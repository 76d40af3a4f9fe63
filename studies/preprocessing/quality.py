"""How well a scan's preprocessing went: numbers a scan, and flags with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.statistics import correlation
from studies.brain_size import USUAL_ML
from studies.preprocessing.atlas import Atlas

LEAST_COVERAGE = 0.98

LEAST_SNR = 5.0
"""Five real heads at 3 tesla had 18 to 47."""

LEAST_ATLAS_SIMILARITY = 0.5
"""Those five reached 0.74 to 0.83 by SyN and 0.54 by the affine alone; laid 10 mm aside, turned by 20
degrees or upside down they had 0.1 to 0.4."""

ODD_ONE_OUT = 4.0
"""Robust SDs below the study's median at which a similarity is odd."""

LEAST_GAP = 0.05
"""A similarity that is closer to the median than this is never odd, however alike the others are."""

IDS = ("subject", "scanner", "session")
"""Which scan a row is about; `session` is given for rescans alone."""

COLUMNS = (
    *IDS,
    "status",
    "brain",
    "mask_ml",
    "snr",
    "coverage",
    "similarity_atlas",
    "similarity_own",
    "flags",
)


def measure(image: np.ndarray, mask: np.ndarray, inside: np.ndarray, atlas: Atlas) -> dict[str, float]:
    """What a scan on the atlas's grid shows.

    coverage : the part of the atlas's brain that lies inside the scan's field of view (`inside`).
    similarity_atlas : correlation with the atlas where both have brain; 0 where that is undefined.
    """
    both = mask & atlas.mask
    similarity = correlation(image[both], atlas.image[both])
    return {
        "coverage": float(inside[atlas.mask].mean()),
        "similarity_atlas": similarity if np.isfinite(similarity) else 0.0,
    }


def similarity_to_own(images: list[np.ndarray], masks: list[np.ndarray]) -> list[float]:
    """For each scan of one person its mean correlation with that person's others; NaN for an only scan."""
    means = []
    for first in range(len(images)):
        others = [
            correlation(images[first][both], images[second][both])
            for second in range(len(images))
            if second != first
            for both in [masks[first] & masks[second]]
        ]
        means.append(float(np.mean(others)) if others else float("nan"))
    return means


def unfit(row: Mapping[Any, Any]) -> list[str]:
    """The reasons for which a scan, by the numbers of its row, doesn't belong into a study, whatever the others are."""
    low, high = USUAL_ML
    told = []
    if not low <= row["mask_ml"] <= high:
        told.append(f"brain mask of {row['mask_ml']:.0f} mL, an adult's has {low:.0f} to {high:.0f}")
    if row["coverage"] < LEAST_COVERAGE:
        told.append(f"{1 - row['coverage']:.0%} of the brain lies outside the picture")
    if row["snr"] < LEAST_SNR:
        told.append(f"signal-to-noise {row['snr']:.1f}, below {LEAST_SNR:g}")
    if row["similarity_atlas"] < LEAST_ATLAS_SIMILARITY:
        told.append(f"similarity to the atlas {row['similarity_atlas']:.2f}, below {LEAST_ATLAS_SIMILARITY:g}")
    return told


def flag(table: pd.DataFrame) -> pd.Series:
    """For each row of `COLUMNS` the reasons to look at that scan, "" where there is none.

    Beside those of `unfit` there are reasons of the study: a scan that is unlike the others.
    """
    reasons = [unfit(row) if row["status"] != "failed" else [] for row in table.to_dict("records")]
    for column, words in (
        ("similarity_atlas", "unlike the atlas"),
        ("similarity_own", "the odd one out of this person's scans"),
    ):
        median = table[column].median()
        for place in np.flatnonzero(odd(table[column].to_numpy(dtype=float))).tolist():
            value = table[column].iloc[place]
            reasons[place].append(f"{words}: similarity {value:.2f}, the study's median is {median:.2f}")
    return pd.Series(["; ".join(told) for told in reasons], index=table.index)


def odd(values: np.ndarray) -> np.ndarray:
    """Which values (n,) lie far below the others: bool (n,); NaN never."""
    there = values[np.isfinite(values)]
    if there.size < 3:
        return np.zeros(values.shape, dtype=bool)
    median = np.median(there)
    spread = 1.4826 * np.median(np.abs(there - median))
    with np.errstate(invalid="ignore"):
        return values < median - max(LEAST_GAP, ODD_ONE_OUT * spread)
