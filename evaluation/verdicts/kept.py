"""What of the person an arm keeps: of RAW's variance between people, in images and in volumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.names import RAW, Gives
from evaluation import intervals
from evaluation.measures import registry
from evaluation.verdicts.answers import KEPT, KEPT_SHARE, LOST, UNCLEAR, UNKNOWN
from evaluation.verdicts.endpoints import Endpoint, means_by_person, volumes_of_endpoint

KEPT_MEASURE = "between_person_variance"


def kept_answer(low: float, high: float) -> str:
    """Whether the person is kept, from the interval of the share of RAW's variance between people."""
    if not math.isfinite(low):
        return UNKNOWN
    return KEPT if low >= KEPT_SHARE else LOST if high < KEPT_SHARE else UNCLEAR


def share_interval(
    statistic: Callable[[np.ndarray], np.ndarray], arm: np.ndarray, raw: np.ndarray
) -> tuple[float, float, float]:
    """The statistic of an arm's people over that of RAW's, with its interval (`intervals.of_positive`).

    Both are (people, ...), the same people in the same order; NaN where a part isn't positive, or of fewer than two.
    """
    if len(arm) < 2:
        return math.nan, math.nan, math.nan
    both = np.stack([arm, raw], axis=-1)

    def ratio(values: np.ndarray) -> np.ndarray:
        return statistic(values[..., 0]) / statistic(values[..., 1])

    low, high = intervals.of_positive(ratio, both, axis=-both.ndim)
    return float(ratio(both)), float(low), float(high)


@dataclass(frozen=True)
class Kept:
    """The share of RAW's variance between people that an arm keeps, with its interval, and that of their volumes."""

    share: float
    low: float
    high: float
    volumes: float

    @property
    def answer(self) -> str:
        """Whether the person is kept, in words."""
        # without an interval nothing is told, but that of an arm that leaves no variance at all there is none
        kept = LOST if self.share <= 0 else kept_answer(self.low, self.high)
        return LOST if kept in (KEPT, UNCLEAR) and self.volumes < KEPT_SHARE else kept


def kept_of(tables: Mapping[str, pd.DataFrame], fits: Sequence[str], primary: Endpoint, gives: Gives) -> Kept:
    """What an arm keeps of the person, over its `fits`; of one without images its volumes are all there is to keep."""
    volumes, *ends = volume_share(tables, fits, primary)
    share, low, high = (volumes, *ends) if gives == "volumes" else kept_share(tables, fits)
    return Kept(share, low, high, volumes)


def kept_share(tables: Mapping[str, pd.DataFrame], fits: Sequence[str]) -> tuple[float, float, float]:
    """The share that an arm keeps of RAW's variance between people, with its interval; NaN where it isn't measured.

    `fits` are the arm and its fits under further seeds: the share is their mean, and the interval from the lowest
    lower to the highest upper end, so that every fit has to keep the person.
    """
    measure = registry.find(KEPT_MEASURE)
    if measure.table not in tables:
        return math.nan, math.nan, math.nan
    values = means_by_person(tables[measure.table], Endpoint(measure))
    there = [fit for fit in fits if fit in values]
    if not there or RAW not in values:
        return math.nan, math.nan, math.nan
    shares = []
    for fit in there:
        known = values[[fit, RAW]].dropna().to_numpy(float)
        shares.append(share_interval(lambda people: people.mean(axis=-1), known[:, 0], known[:, 1]))
    value, low, high = zip(*shares, strict=True)
    return float(np.mean(value)), float(np.min(low)), float(np.max(high))


def volume_share(
    tables: Mapping[str, pd.DataFrame], fits: Sequence[str], primary: Endpoint
) -> tuple[float, float, float]:
    """Of RAW's covariance over people of volumes on two scanners the share that the arm's have, with its interval.

    Of the primary endpoint's volumes, where it is about volumes, since what shrinks all volumes to their mean
    shrinks their differences too; else, and where RAW's isn't positive, NaN. Over `fits` as in `kept_share`; the
    interval is of people with a volume on every scanner.
    """
    volumes = volumes_of_endpoint(tables, primary)
    if volumes is None:
        return math.nan, math.nan, math.nan
    column = primary.volume_column

    def by_person(arm: str) -> pd.DataFrame:
        return volumes[volumes["method"] == arm].pivot_table(index="subject", columns="scanner", values=column)

    def shared(wide: pd.DataFrame) -> float:
        covariances = wide.cov().to_numpy(float)
        known = covariances[np.triu_indices(len(covariances), 1)]
        known = known[np.isfinite(known)]
        return float(known.mean()) if len(known) else math.nan

    raw = by_person(RAW)
    there = [fit for fit in fits if (volumes["method"] == fit).any()]
    if not there or not shared(raw) > 0:
        return math.nan, math.nan, math.nan
    shares, ends = [], []
    for fit in there:
        own = by_person(fit)
        shares.append(shared(own) / shared(raw))
        known = own.join(raw, rsuffix=" of RAW").dropna().to_numpy(float)
        ends.append(share_interval(mean_covariance, known[:, : own.shape[1]], known[:, own.shape[1] :])[1:])
    low, high = zip(*ends, strict=True)
    return float(np.mean(shares)), float(np.min(low)), float(np.max(high))


def mean_covariance(values: np.ndarray) -> np.ndarray:
    """The mean covariance (...) over people of values (..., people, scanners) on two scanners, over all pairs."""
    centered = values - values.mean(axis=-2, keepdims=True)
    scanners, freedom = values.shape[-1], values.shape[-2] - 1
    # of all pairs the sum is that of the people's sums, less each scanner's own
    of_all = np.square(centered.sum(axis=-1)).sum(axis=-1)
    own = np.square(centered).sum(axis=(-2, -1))
    return (of_all - own) / (scanners * (scanners - 1) * freedom)
