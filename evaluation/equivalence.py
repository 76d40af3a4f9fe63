"""Are volumes from two scanners as alike as those from one scanner twice? Two one-sided tests (Schuirmann 1987).

That no difference is found doesn't show that there is none. Here the null hypothesis is that an arm's differences
between scanners are farther from the rescan floor than a margin, and a small p speaks for equivalence. The floor is
RAW's: what the same scanner's second scan of a person differs by, before anything was harmonized.

The margin is a share of the floor, which is itself estimated, so the tests are of m - (1 + s) f < 0 and
m - (1 - s) f > 0, with each person's difference between scanners m, floor f and the share s: their size is
the tests' own, whatever the floor's error (Sasabuchi 1980; Hauschke et al. 1999). The interval that belongs to them is
Fieller's of the ratio of means, which lies between 1 - s and 1 + s just where both tests reject.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from core.errors import InputError
from core.names import RAW
from core.run_folder import RunFolder
from evaluation import volume_rules
from evaluation.runs.metrics import read_metric

MARGIN = 0.5
"""Of the rescan floor: a mean difference between half of it and one and a half times it is as good as a rescan's."""

SIGNIFICANCE = 0.05
RESCANS = "rescan_volume_differences"
EQUIVALENT, NOT_SHOWN = "equivalent", "not shown"
COLUMNS = [
    "method",
    "tissue",
    "rule",
    "n",
    "difference_ml",
    "rescan_ml",
    "margin_ml",
    "ratio",
    "ratio_low",
    "ratio_high",
    "p_below",
    "p_above",
    "p",
    "verdict",
]


def two_one_sided_tests(differences: np.ndarray, margin: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Test paired differences (..., N) for a mean within -+ margin, a number or a person's own (..., N).

    Returns the p, each (...), of the one-sided t-tests (Schuirmann 1987) that the mean is below the upper margin, and
    above the lower. Both have to be small: at a true mean of exactly the margin, normal differences pass both in
    at most 5 of 100 studies at 5 %. NaN for fewer than two people, and where nothing varies.
    """
    below = _one_sided(differences - margin, "less")
    return below, _one_sided(differences + margin, "greater")


def _one_sided(values: np.ndarray, alternative: Literal["less", "greater"]) -> np.ndarray:
    if values.shape[-1] < 2:
        return np.full(values.shape[:-1], math.nan)
    varies = np.ptp(values, axis=-1, keepdims=True) > 0
    tested = stats.ttest_1samp(np.where(varies, values, math.nan), 0.0, axis=-1, alternative=alternative)
    return np.asarray(tested.pvalue)


def ratio_interval(values: np.ndarray, reference: np.ndarray, confidence: float = 0.9) -> tuple[float, float]:
    """Fieller's interval of mean values over mean reference, both (N,) of the same people.

    NaN where the reference's mean isn't told from 0, and the interval has no ends (Fieller 1954).
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    covariance = np.cov(values, reference) / n
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) ** 2
    # the ratios r for which the mean of values - r reference isn't told from 0: a r^2 - 2 b r + c <= 0
    a = reference.mean() ** 2 - reach * covariance[1, 1]
    b = values.mean() * reference.mean() - reach * covariance[0, 1]
    c = values.mean() ** 2 - reach * covariance[0, 0]
    if not (a > 0 and b**2 >= a * c):
        return math.nan, math.nan
    root = math.sqrt(b**2 - a * c)
    return (b - root) / a, (b + root) / a


def equivalence_table(
    differences: pd.DataFrame, rescans: pd.DataFrame, ending: str, margin: float = MARGIN
) -> pd.DataFrame:
    """Each arm's mean absolute difference between scanners against RAW's rescans, by tissue: `COLUMNS`.

    `differences` and `rescans` are those of `metrics/volume_differences.tsv` and
    `metrics/rescan_volume_differences.tsv`, `ending` the rule's. A person counts with the mean over pairs of
    scanners, and of sessions; people without a rescan don't.
    """
    column = f"absolute_difference_ml{ending}"
    keys = ["tissue", "subject"]
    floor = rescans[rescans["method"] == RAW].groupby(keys)[column].mean().rename("floor")
    people = differences.groupby(["method", *keys], sort=False)[column].mean().reset_index()
    both = people.join(floor, on=keys).dropna(subset=[column, "floor"])
    rows = []
    for (arm, tissue), part in both.groupby(["method", "tissue"], sort=False):
        values, reference = part[column].to_numpy(dtype=float), part["floor"].to_numpy(dtype=float)
        below, above = map(float, two_one_sided_tests(values - reference, margin * reference))
        p = float(np.maximum(below, above))
        low, high = ratio_interval(values, reference)
        rows.append(
            {
                "method": arm,
                "tissue": tissue,
                "rule": volume_rules.NAMES[ending],
                "n": len(part),
                "difference_ml": values.mean(),
                "rescan_ml": reference.mean(),
                "margin_ml": margin * reference.mean(),
                "ratio": values.mean() / reference.mean() if reference.mean() > 0 else math.nan,
                "ratio_low": low,
                "ratio_high": high,
                "p_below": below,
                "p_above": above,
                "p": p,
                "verdict": EQUIVALENT if p < SIGNIFICANCE else NOT_SHOWN,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def run_equivalence(run: Path) -> pd.DataFrame:
    """The tests of a run, by its main rule; no rows for one without rescans.

    Raises `InputError` where a table lacks a column.
    """
    tables = []
    for name in ("volume_differences", RESCANS):
        table = read_metric(run, name)
        if table is None:
            return pd.DataFrame(columns=COLUMNS)
        for ending in volume_rules.NAMES:
            if f"absolute_difference_ml{ending}" not in table:
                path = RunFolder(run).metric(name)
                raise InputError(f"{path}: no column 'absolute_difference_ml{ending}'; make the run's metrics anew")
        tables.append(table)
    differences, rescans = tables
    return equivalence_table(differences, rescans, volume_rules.main_rule(differences, "absolute_difference_ml"))
