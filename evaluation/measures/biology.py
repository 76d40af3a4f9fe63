"""What of biology is kept: how much of the volumes' variance age or diagnosis explain, and what it costs.

A scanner's trace and noise blur an effect, and harmonization may blur it too. The study is looked at as
if each person had been scanned on a scanner drawn at random: all scans enter with equal weight, and
people are the unit of the interval. The people that a study needs to show an effect are, at equal power,
in proportion to (1 - r^2)/r^2; the ratio of that to RAW's is the sample-size ratio, below 1 where an arm
saves people (Cohen 1988, chapter 9, f^2 = r^2/(1 - r^2)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.names import MISSING_CELLS, RAW, TISSUES
from evaluation.measures.interface import Measure, Measured

TABLE = "biology"
COVARIATES = ("age", "diagnosis")
FEWEST_PEOPLE = 6
FEWEST_IN_A_GROUP = 3
COLUMNS = [
    "method",
    "tissue",
    "covariate",
    "contrast",
    "n",
    "effect_ml",
    "effect_low_ml",
    "effect_high_ml",
    "variance_explained",
    "variance_explained_low",
    "variance_explained_high",
    "sample_size_ratio",
    "sample_size_ratio_low",
    "sample_size_ratio_high",
]
MEASURES = (
    Measure(
        name="variance_explained",
        label="Variance explained",
        lowest=0.0,
        highest=1.0,
        better="higher",
        definition=(
            "Share of the variance of a tissue's volumes (all scans) that age, or diagnosis, explains: r^2 of a "
            "straight line, or of the difference of two groups."
        ),
        reference="Cohen 1988",
    ),
    Measure(
        name="sample_size_ratio",
        label="Sample-size ratio",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "People needed to show the same effect with equal power, over those needed with RAW: the ratio of (1 - "
            "r^2)/r^2."
        ),
        reference="Cohen 1988",
    ),
)


def line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and r^2 of the straight lines of y on x, both (..., N); NaN where x doesn't vary."""
    x = x - x.mean(axis=-1, keepdims=True)
    y = y - y.mean(axis=-1, keepdims=True)
    xx, xy, yy = (x * x).sum(axis=-1), (x * y).sum(axis=-1), (y * y).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(xx > 0, xy / xx, math.nan), np.where((xx > 0) & (yy > 0), xy * xy / (xx * yy), math.nan)


def sample_size_ratio(explained: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """People needed at this share of variance explained (...), over those at the reference's (...); infinite at 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1 - explained) / explained * reference / (1 - reference)


def contrasts(values: Mapping[str, str], covariate: str) -> tuple[np.ndarray, str] | None:
    """A covariate as numbers (N,), NaN for people without it, and what its effect means; None if it can't be used.

    `values` are the people's, as text. Text stands for groups; of more than two, the two largest are
    compared (the first in the alphabet is the one compared with).
    """
    known = {person: value for person, value in values.items() if value not in MISSING_CELLS}
    try:
        numbers = {person: float(value) for person, value in known.items()}
        meaning = "a year" if covariate == "age" else "a unit"
        enough = len(numbers) >= FEWEST_PEOPLE and len(set(numbers.values())) > 1
    except ValueError:
        groups = pd.Series(list(known.values())).value_counts(sort=False)
        two = sorted(groups.sort_index().sort_values(ascending=False, kind="stable").index[:2])
        enough = len(two) == 2 and groups[two].min() >= FEWEST_IN_A_GROUP
        meaning = " - ".join(reversed(two))
        numbers = {person: float(two.index(value)) for person, value in known.items() if value in two}
    if not enough:
        return None
    return np.array([numbers.get(person, math.nan) for person in values]), meaning


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values (B,), those that are NaN left out; NaN without any."""
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.percentile(known, [2.5, 97.5], method="inverted_cdf")
    return float(low), float(high)


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """A row a method, tissue and covariate; none without `COVARIATES` in the sheet that vary enough.

    People without the covariate, or without a scan on every scanner, are left out.
    """
    rows: list[dict] = []
    for covariate in COVARIATES:
        first = {scan.subject: scan.covariates.get(covariate, "") for scan in reversed(measured.study.scans)}
        ordered = {subject: first[subject] for subject in measured.study.subjects}
        found = contrasts(ordered, covariate)
        if found is not None:
            for tissue in TISSUES:
                rows += _effects(measured, list(ordered), tissue, covariate, *found)
    order = {arm: place for place, arm in enumerate(measured.arms)}
    table = pd.DataFrame(rows, columns=COLUMNS)
    return {TABLE: table.sort_values("method", key=lambda names: names.map(order), kind="stable")}


def _effects(
    measured: Measured, people: Sequence[str], tissue: str, covariate: str, values: np.ndarray, meaning: str
) -> list[dict]:
    volumes = measured.tables["volumes"]
    volumes = volumes[volumes["tissue"] == tissue]
    wide = {
        arm: part.pivot(index="subject", columns="scanner", values="volume_ml").reindex(list(people)).to_numpy(float)
        for arm, part in volumes.groupby("method", sort=False)
    }
    if RAW not in wide:
        return []
    complete = np.isfinite(values) & np.isfinite(wide[RAW]).all(axis=1)
    if complete.sum() < FEWEST_PEOPLE:
        return []
    chosen = np.random.default_rng(measured.seed).integers(complete.sum(), size=(measured.resamples, complete.sum()))
    samples = np.concatenate([np.arange(complete.sum())[None], chosen])
    fits = {}
    for arm, matrix in wide.items():
        y = matrix[complete][samples]
        x = np.broadcast_to(values[complete][samples][..., None], y.shape)
        fits[arm] = line(x.reshape(len(samples), -1), y.reshape(len(samples), -1))
    rows = []
    for arm, (slopes, explained) in fits.items():
        row = {"method": arm, "tissue": tissue, "covariate": covariate, "contrast": meaning, "n": complete.sum()}
        ratios = sample_size_ratio(explained, fits[RAW][1])
        for name, ending, sampled in (
            ("effect", "_ml", slopes),
            ("variance_explained", "", explained),
            ("sample_size_ratio", "", ratios),
        ):
            low, high = percentile_interval(sampled[1:])
            row |= {f"{name}{ending}": sampled[0], f"{name}_low{ending}": low, f"{name}_high{ending}": high}
        rows.append(row)
    return rows
