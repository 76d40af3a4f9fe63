"""Two-way analysis of variance of people on scanners: mean squares, variance components and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.intervals import CONFIDENCE, Interval


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of people (rows), scanners (columns) and what is left, each (...), of n people on k scanners."""

    people: np.ndarray
    scanners: np.ndarray
    error: np.ndarray
    n: int
    k: int


def mean_squares(values: np.ndarray) -> MeanSquares:
    """The two-way analysis of variance of volumes (..., people, scanners) without gaps."""
    n, k = values.shape[-2:]
    whole = values.mean(axis=(-2, -1), keepdims=True)
    people = values.mean(axis=-1, keepdims=True) - whole
    scanners = values.mean(axis=-2, keepdims=True) - whole
    error = values - whole - people - scanners
    return MeanSquares(
        people=k * np.square(people).sum(axis=(-2, -1)) / (n - 1),
        scanners=n * np.square(scanners).sum(axis=(-2, -1)) / (k - 1),
        error=np.square(error).sum(axis=(-2, -1)) / ((n - 1) * (k - 1)),
        n=n,
        k=k,
    )


def person_variance_interval(found: MeanSquares, confidence: float = CONFIDENCE) -> Interval:
    """The interval of the variance component of people, (MS of people - MS of error)/k; its ends may be below 0.

    The modified large-sample interval of a difference of mean squares (Ting et al. 1990; Burdick and Graybill
    1992). NaN where error is 0.
    """
    from scipy import stats  # takes half a second, which single people's measures needn't wait for

    tail = (1 - confidence) / 2
    freedom, rest = found.n - 1, (found.n - 1) * (found.k - 1)

    def shrink(degrees: int) -> float:
        return 1 - degrees / stats.chi2.ppf(1 - tail, degrees)

    def stretch(degrees: int) -> float:
        return degrees / stats.chi2.ppf(tail, degrees) - 1

    def reach(own: float, other: float, ratio: float) -> np.ndarray:
        mixed = ((ratio - 1) ** 2 - (own * ratio) ** 2 - other**2) / ratio
        spread = (
            (own * found.people) ** 2 + (other * found.error) ** 2 + mixed * found.people * found.error
        ) / found.k**2
        return np.sqrt(np.where(found.error > 0, np.maximum(spread, 0), math.nan))

    component = (found.people - found.error) / found.k
    low = component - reach(shrink(freedom), stretch(rest), stats.f.ppf(1 - tail, freedom, rest))
    high = component + reach(stretch(freedom), shrink(rest), stats.f.ppf(tail, freedom, rest))
    return low, high


@dataclass(frozen=True)
class Components:
    """Variances (...) of volumes, in mL^2, as estimated: one may be below 0.

    `interaction` is person x scanner; without rescans, None, it holds what a rescan would differ by, too.
    """

    person: np.ndarray
    scanner: np.ndarray
    interaction: np.ndarray
    rescan: float | None = None


def components(values: np.ndarray, rescan: float | None = None) -> Components:
    """The variance components of volumes (..., people, scanners), people and scanners drawn at random.

    From the expected mean squares of two ways without replication (Searle, Casella and McCulloch 1992, chapter 4;
    McGraw and Wong 1996, Table 3), so that each is unbiased, and may be negative. `rescan`, the variance of
    one person's scans on one scanner (`rescan_variance`), is taken off what is left of people and scanners.
    """
    found = mean_squares(values)
    return Components(
        person=(found.people - found.error) / found.k,
        scanner=(found.scanners - found.error) / found.n,
        interaction=found.error - (rescan or 0.0),
        rescan=rescan,
    )


def rescan_variance(values: Sequence[np.ndarray]) -> float | None:
    """The variance within cells, pooled: `values` are each a person's volumes (sessions,) on one scanner.

    The mean square within cells, unbiased however many sessions each has; None where none has two.
    """
    freedom = sum(len(cell) - 1 for cell in values)
    return sum(float(np.square(cell - cell.mean()).sum()) for cell in values) / freedom if freedom else None
