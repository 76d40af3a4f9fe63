"""Intervals over people, of few of whom a percentile bootstrap's are too narrow.

What is a mean over people has Student's interval. What is positive and no mean, such as a root mean square,
has Student's interval of its logarithm with the jackknife's standard error, taken back by the exponential:
both ends are positive, and their distances from the value are alike as factors. Of normal differences of
6 people such an interval of the RMSE holds the true one in 93 to 95 of 100 studies; the percentile bootstrap's
in 78 (Efron and Tibshirani 1993, chapter 11; Miller 1974 on logarithms). A mean over its standard deviation has
that of its inverse hyperbolic sine, which may reach across 0 (`of_effect_size`).

People are given without gaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

CONFIDENCE = 0.95

Interval = tuple[np.ndarray, np.ndarray]
"""Lower and upper ends, each (...)."""


def student(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The quantile of Student's t by which a standard error becomes half of an interval; NaN without freedom."""
    from scipy import stats  # takes half a second, which single people's measures needn't wait for

    return float(stats.t.ppf((1 + confidence) / 2, freedom)) if freedom > 0 else math.nan


def of_mean(values: np.ndarray, axis: int = -1, confidence: float = CONFIDENCE) -> Interval:
    """Student's interval of the mean over people, who lie along `axis`; NaN for fewer than two."""
    n = values.shape[axis]
    if n < 2:
        none = np.full(np.delete(values.shape, axis), math.nan)
        return none, none.copy()
    mean = values.mean(axis=axis)
    half = student(n - 1, confidence) * values.std(axis=axis, ddof=1) / math.sqrt(n)
    return mean - half, mean + half


def of_mean_difference(
    values: np.ndarray, reference: np.ndarray, axis: int = -1, confidence: float = CONFIDENCE
) -> Interval:
    """Student's interval of the mean of values minus the same people's of the reference, both (..., N, ...)."""
    return of_mean(values - reference, axis, confidence)


def jackknife_error(without: np.ndarray) -> np.ndarray:
    """The jackknife's standard error (...) of a statistic, from its values without each person (N, ...)."""
    n = len(without)
    return np.sqrt((n - 1) / n * np.square(without - without.mean(axis=0)).sum(axis=0))


def of_positive(
    statistic: Callable[[np.ndarray], np.ndarray], values: np.ndarray, axis: int = -1, confidence: float = CONFIDENCE
) -> Interval:
    """The interval of a positive statistic of people, who lie along `axis` (negative) of the values.

    `statistic` takes values of any number of people, with any axes before theirs, to (...). The interval is
    exp(log s -+ t se): s the statistic, se the jackknife's standard error of log s, t Student's with as many
    degrees of freedom as people less one. NaN for fewer than two people, and where the statistic, or that
    without one of the people, isn't positive.
    """
    if axis >= 0:
        raise ValueError(f"axis {axis}; count it from the end, since people are left out along a new first one")
    n = values.shape[axis]
    if n < 2:
        none = np.full(values.shape[: values.ndim + axis], math.nan)
        return none, none.copy()
    without = np.stack([np.delete(values, person, axis) for person in range(n)])
    with np.errstate(divide="ignore", invalid="ignore"):
        log, logs = np.log(statistic(values)), np.log(statistic(without))
        half = student(n - 1, confidence) * jackknife_error(logs)
        known = np.isfinite(log) & np.isfinite(half)
        return np.where(known, np.exp(log - half), math.nan), np.where(known, np.exp(log + half), math.nan)


def of_effect_size(size: np.ndarray, without: np.ndarray, people: int, confidence: float = CONFIDENCE) -> Interval:
    """The interval of a mean over a standard deviation, `size` (...), by its values `without` each person (N, ...).

    The variance of such a number d is about (1 + d**2 / 2) / N, which asinh(d / sqrt(2)) makes the same for every d
    (Hedges and Olkin 1985, chapter 5). So the interval is Student's of that with the jackknife's standard error, taken
    back, with two degrees of freedom fewer than `people`, since a mean and a standard deviation were estimated.

    Of 4 to 20 normal people with d from 0.2 to 6, of one pair of scanners or of several (people and noise in any
    proportion), it holds the true d in 92 to 99 of 100 studies: most in those of 4, least where a part of the variation
    that few people tell is beside one that many scans tell. One degree of freedom more holds it in 91 to 97. The
    interval of d itself holds it in 93 to 99 and is so wide that half of the studies of 6 people with a d of 2 couldn't
    tell that it isn't 0, of which this one leaves a quarter. That of the logarithm can't reach 0 and holds a d of 0.3
    in 54 to 93. The noncentral t's, exact for one pair, has no degrees of freedom for several. NaN where one of the
    values isn't finite, and for fewer than three people.
    """
    scaled, left = np.arcsinh(size / math.sqrt(2)), np.arcsinh(without / math.sqrt(2))
    half = student(people - 2, confidence) * jackknife_error(left)
    return math.sqrt(2) * np.sinh(scaled - half), math.sqrt(2) * np.sinh(scaled + half)
