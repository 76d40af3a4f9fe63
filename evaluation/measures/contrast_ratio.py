"""How bright gray matter is beside white matter, and how far that differs between one person's scanners."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from evaluation.measures.interface import Measure, Measured, Person

TABLE = "contrast_ratio"
SPREAD = "contrast_ratio_spread"
COLUMNS = ("scanner", "contrast_ratio")
SPREAD_COLUMNS = ["method", "subject", "scanners", "contrast_ratio_spread"]
MEASURES = (
    Measure(
        name="contrast_ratio",
        label="GM/WM contrast ratio",
        lowest=-math.inf,
        highest=math.inf,
        better="lower",
        definition=(
            "Mean intensity of gray matter over that of white matter, over the voxels of contrast-to-noise. On RAW's "
            "scale, by the arm's one affine map, since a ratio needs a zero: White Stripe's own is white matter. The "
            "lower, the more contrast; every scanner has its own."
        ),
        reference="Salat et al. 2009, there along the cortex",
        table=TABLE,
        column="contrast_ratio",
    ),
    Measure(
        name="contrast_ratio_spread",
        label="Spread of GM/WM contrast ratio over scanners",
        unit="%",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "Standard deviation of the GM/WM contrast ratio over a person's scanners, in % of its mean: what "
            "harmonization should take away of it."
        ),
        table=SPREAD,
        column="contrast_ratio_spread",
    ),
)


def contrast_ratio(white: np.ndarray, gray: np.ndarray) -> float:
    """Mean of gray over mean of white matter's intensities (N,), (M,), without a unit.

    A factor of the intensities doesn't change it, an offset does. NaN where either is empty or white matter's mean
    isn't above 0.
    """
    if not (white.size and gray.size):
        return math.nan
    below = float(white.mean(dtype=np.float64))
    return float(gray.mean(dtype=np.float64)) / below if below > 0 else math.nan


def spread_percent(values: np.ndarray) -> float:
    """Standard deviation (ddof 1) in % of the mean of values (N,), those that are NaN left out.

    Range 0 upwards; NaN of fewer than two, and where the mean isn't above 0.
    """
    found = values[np.isfinite(values)]
    return float(100 * found.std(ddof=1) / found.mean()) if found.size > 1 and found.mean() > 0 else math.nan


def of_person(person: Person) -> list[dict]:
    """A row a scan."""
    rows = []
    for scanner, image in person.images.items():
        white, gray = (image.ravel()[places] for places in person.white_and_gray[scanner])
        rows.append({"scanner": scanner, "contrast_ratio": contrast_ratio(white, gray)})
    return rows


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """The spread over scanners, a row a person, and over how many scanners it is."""
    rows = []
    for (method, subject), scans in measured.tables[TABLE].groupby(["method", "subject"], sort=False):
        values = scans["contrast_ratio"].to_numpy(dtype=float)
        rows.append((method, subject, np.isfinite(values).sum(), spread_percent(values)))
    return {SPREAD: measured.in_order(pd.DataFrame(rows, columns=SPREAD_COLUMNS))}
