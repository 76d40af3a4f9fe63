"""What of biology is kept: the effect of age or diagnosis on the volumes, what it explains, and what it costs.

A scanner's trace and noise blur an effect, and harmonization may blur it too, or turn it round. The study is
looked at as if each person had been scanned on one of its scanners, drawn at random; people are the unit of
every interval. A person has one value of a covariate, so the straight line of all scans is that of the people's
means, and its errors are those of a regression over people with Student's t of n - 2 degrees of freedom.

Volumes are partial-volume sums, which are near the truth in size; the effect by hard label stands beside them.
Where the anatomy is known, the arm `truth` says what the effect is among these people.

The people that a study needs to show an effect are, at equal power, in proportion to (1 - r^2)/r^2; the ratio of
that to RAW's is the sample-size ratio, below 1 where an arm saves people (Cohen 1988, chapter 9,
f^2 = r^2/(1 - r^2)). It means something only where there is an effect: it isn't given unless RAW's interval of the
effect leaves 0 out and RAW, the arm and the truth, where it is known, agree in the effect's sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.covariates import Covariate
from core.names import RAW, TISSUES
from evaluation.measures.interface import Measure, Measured

TABLE = "biology"
TRUTH = "truth"
"""What stands for the true anatomy in the column of methods."""

COVARIATES = ("age", "diagnosis")

OLDEST = 130
"""Years; a number beyond is in another unit, or a code for a missing one."""
FEWEST_PEOPLE = 6
FEWEST_IN_A_GROUP = 3
CONFIDENCE = 0.95
EXACT = 1e6
"""An F beyond which a line fits but for rounding, and its r^2 has no interval to speak of."""

SUM, HARD = "volume_ml_pve", "volume_ml_hard"
COLUMNS = [
    "method",
    "tissue",
    "covariate",
    "contrast",
    "n",
    "effect_ml",
    "effect_low_ml",
    "effect_high_ml",
    "effect_ml_hard",
    "effect_low_ml_hard",
    "effect_high_ml_hard",
    "variance_explained",
    "variance_explained_low",
    "variance_explained_high",
    "sample_size_ratio",
]
MEASURES = (
    Measure(
        name="variance_explained",
        label="Variance explained, adjusted",
        lowest=-math.inf,
        highest=1.0,
        better="higher",
        definition=(
            "Share of the variance of a tissue's volumes, over people and scanners, that age, or diagnosis, explains: "
            "adjusted r^2 of a straight line, or of the difference of two groups; 0 on average where nothing is "
            "explained, so it may be below 0."
        ),
        reference="Cohen 1988; Ezekiel 1930, for the adjustment",
    ),
    Measure(
        name="sample_size_ratio",
        label="Sample-size ratio",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "People needed to show the same effect with equal power, over those needed with RAW: the ratio of (1 - "
            "r^2)/r^2, r^2 adjusted. Only where RAW's interval of the effect leaves 0 out, and where RAW, the arm and "
            "the truth, if it is known, agree in the effect's sign."
        ),
        reference="Cohen 1988",
    ),
)


@dataclass(frozen=True)
class Line:
    """A straight line of volumes on a covariate: its slope, and the adjusted r^2, each with its 95 % interval."""

    slope: float
    slope_low: float
    slope_high: float
    explained: float
    explained_low: float
    explained_high: float


NO_LINE = Line(*[math.nan] * 6)


def line(x: np.ndarray, y: np.ndarray) -> Line:
    """The line of volumes `y` (N people, M scanners) on a covariate `x` (N,); NaN where x or y doesn't vary.

    Of y = a + b x + e over people's means, with MSE the mean square of e: the slope's interval is b -+ t(N - 2)
    s, s^2 = MSE/S_xx. The adjusted r^2 is (b^2 S_xx - MSE)/(N - 1) over the variance of a scan, which is that of
    people's means and (M - 1)/M of the mean variance between a person's scans; with one scanner that is the usual
    1 - (1 - r^2)(N - 1)/(N - 2). Its interval is the one for noncentrality of F = b^2 S_xx/MSE (Steiger 2004),
    on the spread of x that these people have, the variance between a person's scans taken as known; an F below 1,
    where r^2 is below 0, has the interval of 1, for those of smaller F shrink to 0. NaN in x or y and fewer than
    three people give no line either.
    """
    people, scanners = y.shape
    means = y.mean(axis=1)
    centered = x - x.mean()
    xx = float(centered @ centered)
    if people < 3 or not xx > 0 or not np.ptp(means) > 0:
        return NO_LINE
    slope = float(centered @ means) / xx
    errors = means - means.mean() - slope * centered
    square = float(errors @ errors) / (people - 2)
    # imported here: it takes long, and planning and other measures needn't wait for it
    from scipy import stats

    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, people - 2)) * math.sqrt(square / xx)
    within = float(y.var(axis=1, ddof=1).mean()) * (scanners - 1) / scanners if scanners > 1 else 0.0
    scan_variance = float(means.var(ddof=1)) + within
    explained = (slope**2 * xx - square) / (people - 1) / scan_variance
    low = high = explained
    if square * EXACT > slope**2 * xx:
        tails = ((1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2)
        ratio = max(1.0, slope**2 * xx / square)
        shares = [noncentrality(ratio, people - 2, tail) / (people - 1) for tail in tails]
        low, high = (share / (share + 1 + within / square) for share in shares)
    return Line(slope, slope - reach, slope + reach, explained, low, high)


def noncentrality(ratio: float, degrees: int, probability: float) -> float:
    """The noncentrality at which F(1, degrees) is at most `ratio` with that probability; 0 where there is none.

    Falls with the probability, so that .975 and .025 give the ends of the 95 % interval (Steiger 2004).
    """
    from scipy import optimize, stats

    def excess(value: float) -> float:
        return float(stats.ncf.cdf(ratio, 1, degrees, value)) - probability

    if stats.f.cdf(ratio, 1, degrees) <= probability:
        return 0.0
    high = max(1.0, ratio)
    while excess(high) > 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high, xtol=1e-6))


def sample_size_ratio(explained: float, reference: float) -> float:
    """People needed at this share of variance explained, over those at the reference's; NaN unless in (0, 1) both."""
    if not (0 < explained < 1 and 0 < reference < 1):
        return math.nan
    return (1 - explained) / explained * reference / (1 - reference)


def comparable(arm: Line, raw: Line, truth: Line | None) -> bool:
    """Whether a sample-size ratio means anything: RAW's effect isn't 0, and all that are known agree in sign."""
    signs = {math.copysign(1.0, found.slope) for found in (arm, raw, truth) if found is not None}
    return raw.slope_low * raw.slope_high > 0 and len(signs) == 1


def contrasts(covariate: Covariate, people: Sequence[str]) -> tuple[np.ndarray, str] | None:
    """A covariate as each person's number (N,), NaN without one, and what its effect means; None if it can't be used.

    Of somebody whose scans have several ages it is their mean. Text stands for groups; of more than two, the two
    largest are compared (the first in the alphabet is the one compared with). Raises `InputError` for an age that is
    no number or that nobody has, such as -999, and for somebody who is in two groups.
    """
    if covariate.name == "age":
        covariate.check_numeric("write age in years, as 61.5, or give the column another name")
        covariate.check_range(0, OLDEST, "write years, and n/a where it isn't known, or give the column another name")
    values = covariate.of_people()
    if covariate.is_numeric:
        numbers = {person: float(value) for person, value in values.items()}
        meaning = "a year" if covariate.name == "age" else "a unit"
        enough = len(numbers) >= FEWEST_PEOPLE and len(set(numbers.values())) > 1
    else:
        groups = pd.Series(list(values.values()), dtype=str).value_counts(sort=False)
        two = sorted(groups.sort_index().sort_values(ascending=False, kind="stable").index[:2])
        enough = len(two) == 2 and groups[two].min() >= FEWEST_IN_A_GROUP
        meaning = " - ".join(reversed(two))
        numbers = {person: float(two.index(value)) for person, value in values.items() if value in two}
    if not enough:
        return None
    return np.array([numbers.get(person, math.nan) for person in people]), meaning


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """A row a method, tissue and covariate; none without `COVARIATES` in the sheet that vary enough.

    People without the covariate, or without a scan on every scanner, are left out. Volumes are partial-volume
    sums, or by hard label where the engine gives none. The rows of `TRUTH` are the first, where it is known.
    """
    rows: list[dict] = []
    study = measured.study
    columns, people = set().union(*(scan.covariates for scan in study.scans)), study.subjects
    for covariate in COVARIATES:
        found = contrasts(study.covariate(covariate), people) if covariate in columns else None
        if found is not None:
            for tissue in TISSUES:
                values, meaning = found
                shared = {"tissue": tissue, "covariate": covariate, "contrast": meaning}
                rows += [{**row, **shared} for row in _effects(measured, people, tissue, values)]
    order = {arm: place for place, arm in enumerate([TRUTH, *measured.arms])}
    table = pd.DataFrame(rows, columns=COLUMNS)
    return {TABLE: table.sort_values("method", key=lambda names: names.map(order), kind="stable")}


def _effects(measured: Measured, people: Sequence[str], tissue: str, x: np.ndarray) -> list[dict]:
    volumes = measured.tables["volumes"]
    volumes = volumes[volumes["tissue"] == tissue]
    hard = _by_person(volumes, HARD, people)
    sums = _by_person(volumes, SUM if volumes[SUM].notna().any() else HARD, people)
    if RAW not in sums:
        return []
    chosen = np.isfinite(x) & np.isfinite(sums[RAW]).all(axis=1)
    if chosen.sum() < FEWEST_PEOPLE:
        return []
    lines = {arm: line(x[chosen], matrix[chosen]) for arm, matrix in sums.items()}
    by_label = {arm: line(x[chosen], matrix[chosen]) for arm, matrix in hard.items()}
    true = _true_line(measured, people, tissue, x, chosen)
    if true is not None:
        lines = {TRUTH: true, **lines}
        by_label[TRUTH] = NO_LINE
    return [
        {
            "method": arm,
            "n": int(chosen.sum()),
            "effect_ml": found.slope,
            "effect_low_ml": found.slope_low,
            "effect_high_ml": found.slope_high,
            "effect_ml_hard": by_label[arm].slope,
            "effect_low_ml_hard": by_label[arm].slope_low,
            "effect_high_ml_hard": by_label[arm].slope_high,
            "variance_explained": found.explained,
            "variance_explained_low": found.explained_low,
            "variance_explained_high": found.explained_high,
            "sample_size_ratio": sample_size_ratio(found.explained, lines[RAW].explained)
            if comparable(found, lines[RAW], true)
            else math.nan,
        }
        for arm, found in lines.items()
    ]


def _by_person(volumes: pd.DataFrame, column: str, people: Sequence[str]) -> dict[str, np.ndarray]:
    """By arm a column of one tissue's volumes as (people, scanners), NaN for a scan that isn't there."""
    return {
        str(arm): part.pivot(index="subject", columns="scanner", values=column).reindex(list(people)).to_numpy(float)
        for arm, part in volumes.groupby("method", sort=False)
    }


def _true_line(
    measured: Measured, people: Sequence[str], tissue: str, x: np.ndarray, chosen: np.ndarray
) -> Line | None:
    """The line of the true volumes of the chosen people; None where one of them isn't known."""
    truth = measured.tables.get("truth")
    if truth is None or truth.empty:
        return None
    known = truth[truth["tissue"] == tissue].groupby("subject")["true_volume_ml"].mean().reindex(list(people))
    volumes = known.to_numpy(float)[chosen]
    return line(x[chosen], volumes[:, None]) if np.isfinite(volumes).all() else None
