"""What several studies say together: shares of people, and mean differences under random effects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation import intervals

FEWEST_STUDIES = 3
"""Of fewer the spread between studies can't be told."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; `spread` is the standard deviation between studies, where it is estimated."""

    value: float
    low: float
    high: float
    spread: float = math.nan


NOTHING = Estimate(math.nan, math.nan, math.nan)


def wilson(wins: float, people: int) -> tuple[float, float]:
    """Wilson's interval of a share, `wins` of `people`, of which a tie is half of one (Wilson 1927)."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(wins, people, alpha=1 - intervals.CONFIDENCE, method="wilson")
    # there its ends are 0 and 1, which rounding misses on either side
    return (float(low) if wins > 0 else 0.0), (float(high) if wins < people else 1.0)


def mean_share(wins: Sequence[float], people: Sequence[int]) -> Estimate:
    """The mean over studies of a share of people, each study counted alike, with its interval.

    The studies are these, their people are drawn: of each study Wilson's interval, whose distances from the share are
    put together by the method of variance estimates recovery (MOVER; Zou, Huang and Zhang 2009, Computational
    Statistics and Data Analysis 53, 1080, for a linear function of binomial shares; Newcombe 1998 for two).
    """
    shares = [won / n for won, n in zip(wins, people, strict=True)]
    ends = [wilson(won, n) for won, n in zip(wins, people, strict=True)]
    value = sum(shares) / len(shares)
    below = math.sqrt(sum((share - low) ** 2 for share, (low, _) in zip(shares, ends, strict=True))) / len(shares)
    above = math.sqrt(sum((high - share) ** 2 for share, (_, high) in zip(shares, ends, strict=True))) / len(shares)
    return Estimate(value, value - below, value + above)


def random_effects(means: np.ndarray, errors: np.ndarray) -> Estimate:
    """The mean of studies' means (K,), whose standard errors are `errors` (K,), with an interval for other studies too.

    The variance between studies is DerSimonian and Laird's (1986, Controlled Clinical Trials 7, 177); the interval is
    Hartung and Knapp's (2001, Statistics in Medicine 20, 1771): Student's t with K - 1 degrees of freedom, and as
    squared error the weighted spread of the means, sum w (y - m)^2 / ((K - 1) sum w), here never less than 1 / sum w,
    so that means that happen to lie together give no interval that is too narrow (Roever, Knapp and Friede 2015).
    NaN for fewer than `FEWEST_STUDIES`, and where a study's error is 0 or unknown. Our own, since statsmodels'
    `combine_effects` has neither bound: its variance between studies may be below 0, its interval of no width.
    """
    known = np.isfinite(means) & np.isfinite(errors) & (errors > 0)
    count = len(means)
    if count < FEWEST_STUDIES or not known.all():
        return NOTHING
    fixed = 1 / errors**2
    center = (fixed * means).sum() / fixed.sum()
    heterogeneity = (fixed * (means - center) ** 2).sum()
    scale = fixed.sum() - (fixed**2).sum() / fixed.sum()
    between = max(0.0, (heterogeneity - (count - 1)) / scale)
    weights = 1 / (errors**2 + between)
    mean = (weights * means).sum() / weights.sum()
    spread = (weights * (means - mean) ** 2).sum() / (count - 1)
    half = intervals.student(count - 1) * math.sqrt(max(1.0, spread) / weights.sum())
    return Estimate(float(mean), float(mean - half), float(mean + half), math.sqrt(between))
