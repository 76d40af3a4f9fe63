"""How many people a study needs."""

from __future__ import annotations

import bisect
import math

from scipy import stats
from statsmodels.stats.power import TTestPower

SIGNIFICANCE = 0.05
POWER = 0.8
MOST_PEOPLE = 100_000


def people_needed(sought: float, deviation: float, *, power: float = POWER, alpha: float = SIGNIFICANCE) -> float:
    """How many people a two-sided t-test of one sample, or of pairs, needs to show a mean `sought` with that power.

    `deviation` is the standard deviation of people's values, or of their paired differences, in the same unit. At
    least 2; NaN where nothing is sought or nothing varies, or more than `MOST_PEOPLE` would be needed.
    """
    size = abs(sought) / deviation if deviation > 0 else math.nan
    if not (math.isfinite(size) and size > 0):
        return math.nan
    # the normal approximation: t's heavier tails need some more, never 10
    fewest = ((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) / size) ** 2
    if fewest > MOST_PEOPLE:
        return math.nan
    tried = range(max(2, math.floor(fewest)), math.ceil(fewest) + 10)
    return float(tried[0] + bisect.bisect_left(tried, power, key=lambda people: _power(size, people, alpha)))


def people_interval(low: float, high: float) -> tuple[float, float]:
    """The fewest and the most people that effect sizes from `low` to `high`, means over deviations, need.

    Infinite for a size of 0 or below, which no number of people shows, and where more than `MOST_PEOPLE` would be
    needed: with an infinite most, it can't be told how many a study needs. NaN where a size is.
    """
    fewest, most = (math.nan if math.isnan(size) else _people_or_never(size) for size in (high, low))
    return fewest, most


def _people_or_never(size: float) -> float:
    people = people_needed(size, 1.0) if size > 0 else math.nan
    return math.inf if math.isnan(people) else people


def _power(size: float, people: int, alpha: float) -> float:
    # one-sided at half of alpha: the other tail adds nothing at any power worth having, and scipy's
    # noncentral t is NaN there, as it is where the power is 1 to all digits
    found = TTestPower().power(size, people, alpha / 2, alternative="larger")
    return 1.0 if math.isnan(found) else float(found)
