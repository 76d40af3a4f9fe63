"""How well volumes repeat from scanner to scanner: intraclass correlation and within-person variation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from core.names import TISSUES
from evaluation import intervals, volume_rules
from evaluation.analysis_of_variance import mean_squares, person_variance_interval
from evaluation.intervals import CONFIDENCE, Interval
from evaluation.measures.interface import Measure, Measured, Summary

TABLE = "reliability"
BESIDE = ("icc", "within_person_cv", "between_person_sd_ml", "between_person_cv")
"""What stands beside by hard label."""

COLUMNS = [
    "method",
    "tissue",
    "rule",
    "n",
    "scanners",
    "icc",
    "icc_low",
    "icc_high",
    "within_person_cv",
    "within_person_cv_low",
    "within_person_cv_high",
    "within_person_sd_ml",
    "between_person_sd_ml",
    "between_person_sd_low_ml",
    "between_person_sd_high_ml",
    "between_person_cv",
    *(f"{name}{volume_rules.HARD}" for name in BESIDE),
]


def within_person_cv(values: np.ndarray) -> np.ndarray:
    """Within-person coefficient of variation in % of volumes (..., people, scanners): the root mean square over people.

    A person's is the standard deviation (ddof 1) over scanners, over the mean. 0 upwards, lower is
    better (Quan and Shih 1996).
    """
    people = values.std(axis=-1, ddof=1) / values.mean(axis=-1)
    return 100 * np.sqrt(np.mean(np.square(people), axis=-1))


def icc(values: np.ndarray) -> np.ndarray:
    """ICC(A,1) of volumes (..., people, scanners): agreement of single measurements, scanners random.

    McGraw and Wong 1996, Table 4, case 2A; Shrout and Fleiss's ICC(2,1). At most 1, higher is better; a
    scanner that reads high lowers it, unlike a consistency. NaN where all volumes are the same.
    Written here since neither scipy nor statsmodels has it.
    """
    found = mean_squares(values)
    below = found.people + (found.k - 1) * found.error + found.k / found.n * (found.scanners - found.error)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, (found.people - found.error) / below, math.nan)


def icc_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of `icc` for one matrix (people, scanners); McGraw and Wong 1996, Table 7, case 2A.

    It is an approximation: simulated, of 6, 10 and 18 people on 4 scanners, 91 to 96 % of them hold the true one.
    NaN where people or what is left doesn't vary.
    """
    from scipy import stats  # takes half a second, which single people's measures needn't wait for

    found, r = mean_squares(values), float(icc(values))
    people, scanners, error = float(found.people), float(found.scanners), float(found.error)
    n, k = found.n, found.k
    if not (math.isfinite(r) and r < 1 and error > 0):
        return math.nan, math.nan
    a = k * r / (n * (1 - r))
    b = 1 + k * r * (n - 1) / (n * (1 - r))
    freedom = (a * scanners + b * error) ** 2 / ((a * scanners) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    tail = 1 - (1 - confidence) / 2
    lower, upper = stats.f.ppf(tail, n - 1, freedom), stats.f.ppf(tail, freedom, n - 1)
    rest = k * scanners + (k * n - k - n) * error
    low = n * (people - lower * error) / (lower * rest + n * people)
    high = n * (upper * people - error) / (rest + n * upper * people)
    return float(low), float(high)


def between_person_sd(values: np.ndarray) -> np.ndarray:
    """Standard deviation of people in the unit of volumes (..., people, scanners), noise of single scans taken off.

    The variance component (MS of people - MS of error) / scanners of McGraw and Wong 1996, at least 0.
    """
    found = mean_squares(values)
    return np.sqrt(np.maximum(found.people - found.error, 0) / found.k)


def between_person_sd_interval(values: np.ndarray) -> Interval:
    """The interval of `between_person_sd`, each (...); an end below 0 is 0."""
    low, high = person_variance_interval(mean_squares(values))
    return np.sqrt(np.maximum(low, 0)), np.sqrt(np.maximum(high, 0))


def between_person_cv(values: np.ndarray) -> np.ndarray:
    """`between_person_sd` in % of the mean of all volumes (..., people, scanners)."""
    return 100 * between_person_sd(values) / values.mean(axis=(-2, -1))


def over_tissues(function):
    """A measure of volumes (..., people, scanners) as the mean over tissues of (..., people, scanners, tissues).

    It has to be a share, or relative to a tissue's volume, so that a large tissue doesn't drown the others. Of
    one tissue's volumes (..., 1) it is that tissue's own.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        return function(np.moveaxis(values, -1, 0)).mean(axis=0)

    return mean


def volumes_of(volumes: pd.DataFrame, column: str) -> tuple[np.ndarray, list[str]]:
    """One method's and tissue's volumes (people, scanners) of the people seen by every scanner, and the scanners."""
    wide = volumes.pivot(index="subject", columns="scanner", values=column)
    wide = wide[list(dict.fromkeys(volumes["scanner"]))].dropna()
    return wide.to_numpy(dtype=float), list(wide.columns)


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """A row a method and tissue; people without a scan on every scanner are left out, n says how many remain.

    By the main rule, which `rule` names, and beside it by hard label.
    """
    volumes = measured.tables["volumes"]
    main = volume_rules.main_rule(volumes, "volume_ml")
    rows = []
    for arm in measured.arms:
        for tissue in TISSUES:
            part = volumes[(volumes["method"] == arm) & (volumes["tissue"] == tissue)]
            if part.empty:
                continue
            values, scanners = volumes_of(part, f"volume_ml{main}")
            row: dict[str, object] = {"method": arm, "tissue": tissue, "rule": volume_rules.NAMES[main]}
            row |= {"n": len(values), "scanners": len(scanners)}
            if len(values) >= 2 and len(scanners) >= 2:
                hard, _ = volumes_of(part, f"volume_ml{volume_rules.HARD}")
                row |= of_volumes(values) | {
                    f"{name}{volume_rules.HARD}": found for name, found in of_volumes(hard).items() if name in BESIDE
                }
            rows.append(row)
    return {TABLE: pd.DataFrame(rows, columns=COLUMNS)}


def of_volumes(values: np.ndarray) -> dict[str, float]:
    """The columns of one method's and tissue's volumes (people, scanners), at least two of each."""
    low, high = icc_interval(values)
    cv = intervals.of_positive(within_person_cv, values, axis=-2)
    sd = between_person_sd_interval(values)
    return {
        "icc": float(icc(values)),
        "icc_low": low,
        "icc_high": high,
        "within_person_cv": float(within_person_cv(values)),
        "within_person_cv_low": float(cv[0]),
        "within_person_cv_high": float(cv[1]),
        "within_person_sd_ml": math.sqrt(float(values.var(axis=1, ddof=1).mean())),
        "between_person_sd_ml": float(between_person_sd(values)),
        "between_person_sd_low_ml": float(sd[0]),
        "between_person_sd_high_ml": float(sd[1]),
        "between_person_cv": float(between_person_cv(values)),
    }


MEASURES = (
    Measure(
        name="icc",
        label="ICC(A,1) of volumes",
        lowest=-math.inf,
        highest=1.0,
        better="higher",
        definition=(
            "Intraclass correlation of a tissue's volumes over scanners, two-way, absolute agreement, single "
            "measurement; between-person variance over all variance."
        ),
        reference="McGraw and Wong 1996",
        table="volumes",
        column="volume_ml_pve",
        summary=Summary(asks="removed", over_people=over_tissues(icc)),
    ),
    Measure(
        name="within_person_cv",
        label="Within-person CV of volumes",
        unit="%",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "Root mean square over people of the standard deviation over scanners of a tissue's volume, over its mean."
        ),
        reference="Quan and Shih 1996",
        table="volumes",
        column="volume_ml_pve",
        summary=Summary(asks="removed", over_people=over_tissues(within_person_cv)),
    ),
    Measure(
        name="between_person_sd",
        label="Between-person SD of volumes",
        unit="% of the mean",
        lowest=0.0,
        highest=math.inf,
        better="higher",
        definition=(
            "Standard deviation over people of a tissue's volume over its mean, what is single scans' own taken off: "
            "the differences of people that a study looks for. More isn't better where an arm invents it."
        ),
        reference="McGraw and Wong 1996",
        table="volumes",
        column="volume_ml_pve",
        summary=Summary(asks="kept", over_people=over_tissues(between_person_cv)),
    ),
)
