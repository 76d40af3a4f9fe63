"""The summary: every arm by every measure, on one scale that rescans and controls set; no single score.

Three questions have scales of their own, and no measure answers two:

- removed: what of the scanners' differences is gone? RAW is 0; 1 is what RAW's scans and rescans of one scanner
  reach. Above 1 an arm is smoother than a rescan, which is nothing to be had from harmonization. Where nobody was
  rescanned, or a measure isn't of pairs, 1 is the oracle, or, in a run without it, the best value there can be;
  `one_is` says which.
- kept: what of the person is still there? 0 is nothing (or a guess); 1 is the oracle, or RAW in a run
  without it.
- nearer: is it nearer the truth, or a better image? RAW is 0; 1 is the oracle, or the best value there can be.

A score may lie below 0 (worse than RAW, than nothing) or above 1. Where 1 is no better than RAW, or than nothing,
the measure has no scale in this run and no score. Intervals of values and scores are Student's with the jackknife's
standard error, leaving out one person at a time from value and scale alike; those of ranks are the middle 95 % of
people drawn with replacement. The classifier isn't trained anew, nor the others among whom a person is recognized
drawn anew. Ranks are among the arms that compete; in what is to be kept, all that is as good as 1 ranks alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core.files import read_table
from core.names import RAW
from core.run_folder import RunFolder
from evaluation.intervals import jackknife_error, student
from evaluation.measures import registry
from evaluation.measures.interface import Measure, OverPeople, Summary, rescan_table
from evaluation.runs.arms_table import read_arms
from evaluation.runs.metrics import read_metric
from evaluation.verdicts.endpoints import STAND_INS

ORACLE = "oracle"
RESCAN = "rescan"
RESAMPLES = 2000
PERCENTS = (2.5, 97.5)
COLUMNS = [
    "measure",
    "asks",
    "method",
    "n",
    "value",
    "ci_low",
    "ci_high",
    "zero",
    "one",
    "one_is",
    "score",
    "score_low",
    "score_high",
    "rank",
    "rank_low",
    "rank_high",
    "ranked",
]


def values_by_person(table: pd.DataFrame, column: str, arms: Sequence[str]) -> np.ndarray:
    """A column of a table of `RUN/metrics` as (methods, people, scanners or pairs, tissues), NaN for none."""
    tissues = table["tissue"].astype(str) if "tissue" in table else pd.Series("", index=table.index)
    ends = [end for end in ("scanner", "scanner_a", "scanner_b", "session_a", "session_b") if end in table]
    places = table[ends].agg("\t".join, axis=1)
    axes = [pd.Categorical(values, categories=values.unique()) for values in (table["subject"], places, tissues)]
    found = np.full((len(arms), *(len(axis.categories) for axis in axes)), math.nan)
    rows = pd.Categorical(table["method"], categories=list(arms)).codes
    known = rows >= 0
    found[rows[known], *(axis.codes[known] for axis in axes)] = table[column].to_numpy(dtype=float)[known]
    return found


def over_people(
    values: np.ndarray, function: OverPeople | None, *, seed: int, resamples: int
) -> tuple[np.ndarray, np.ndarray]:
    """A measure of each method, (methods, 1 + people + resamples).

    First of all people, then without each of them, then of people drawn with replacement. `values` are as
    `values_by_person` gives them. Without a function it is the mean of the people's means; with one, people with
    a gap in any method that has values are left out. Returns which people it is about, too.
    """
    there = np.isfinite(values).any(axis=(1, 2, 3))
    if function is not None:
        about = np.isfinite(values[there]).all(axis=(0, 2, 3))
    elif values.size:
        counts = np.isfinite(values).sum(axis=(2, 3))
        means = np.nansum(values, axis=(2, 3)) / np.maximum(counts, 1)
        values = np.where(counts > 0, means, math.nan)
        about = np.isfinite(values[there]).any(axis=0)
    else:
        about = np.zeros(values.shape[1], dtype=bool)
    values = values[:, about]
    people = values.shape[1]
    found = np.full((len(values), 1 + people + resamples), math.nan)
    if people >= 2:
        whole = np.arange(people)
        drawn = np.random.default_rng(seed).integers(people, size=(resamples, people))
        every = np.concatenate([whole[None], drawn])
        without = np.stack([np.delete(whole, left_out) for left_out in whole])
        measured = _mean_of_people if function is None else function
        for row in np.flatnonzero(there):
            of_all, of_fewer = measured(values[row][every]), measured(values[row][without])
            found[row] = np.concatenate([of_all[:1], of_fewer, of_all[1:]])
    return found, np.flatnonzero(about)


def rescan_level(table: pd.DataFrame, column: str, people: Sequence[str], samples: int) -> np.ndarray:
    """RAW's mean between scans and rescans, (samples,): of all people, without each of `people`, then of all again.

    The rescanned may be fewer than the people that the measure is about.
    """
    means = table[table["method"] == RAW].groupby("subject")[column].mean()
    without = [means.drop(person, errors="ignore").mean() for person in people]
    found = np.full(samples, means.mean())
    found[1 : 1 + len(people)] = without
    return found


def _mean_of_people(values: np.ndarray) -> np.ndarray:
    counts = np.isfinite(values).sum(axis=-1)
    return np.where(counts > 0, np.nansum(values, axis=-1) / np.maximum(counts, 1), math.nan)


def ends_of_scale(
    measure: Measure,
    summary: Summary,
    raw: np.ndarray,
    oracle: np.ndarray | None,
    *,
    people: int,
    scanners: int,
    rescan: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, str]:
    """The values that are 0 and 1 for a measure, each like `raw` (S,), and in words what 1 is.

    `rescan` is what RAW's scans and rescans reach, where people were rescanned and the measure is of pairs.
    """
    guess = {"people": 1 / max(people, 1), "scanners": 1 / scanners, None: None}[summary.guess]
    if summary.asks == "kept":
        zero = np.full_like(raw, 0.0 if guess is None else guess)
        return (zero, raw, "RAW") if oracle is None else (zero, oracle, "oracle")
    if rescan is not None:
        return raw, rescan, RESCAN
    if oracle is not None:
        return raw, oracle, "oracle"
    best = measure.best if guess is None else guess
    if not math.isfinite(best):
        return raw, np.full_like(raw, math.nan), "unknown without the oracle"
    return raw, np.full_like(raw, best), "best possible" if guess is None else "guess"


def scores(measure: Measure, values: np.ndarray, zero: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Values (methods, S) on the scale from `zero` to `one` (S,); NaN where one isn't better than zero."""
    sign = 1.0 if measure.better == "higher" else -1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        span = np.where(sign * (one - zero) > 0, one - zero, math.nan)
        # + 0.0, so that nothing is -0
        return (values - zero) / span + 0.0


def ranks(measure: Measure, values: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Ranks (methods, S) of values, 1 the best, equal ones their mean rank; NaN for NaN."""
    if measure.summary is not None and measure.summary.asks == "kept":
        cap = np.minimum if measure.better == "higher" else np.maximum
        values = np.where(np.isfinite(one), cap(values, one), values)
    order = values if measure.better == "lower" else -values
    # as many better ones, and half of the others that are equal
    better = (order[None] < order[:, None]).sum(axis=1)
    equal = (order[None] == order[:, None]).sum(axis=1)
    return np.where(np.isfinite(values), 1 + better + (equal - 1) / 2, math.nan)


def jackknife_interval(value: float, without: np.ndarray) -> tuple[float, float]:
    """Student's interval of a value, by the jackknife's standard error from the values without each person (N,).

    NaN where one of them is.
    """
    n = len(without)
    if n < 2 or not (np.isfinite(value) and np.isfinite(without).all()):
        return math.nan, math.nan
    half = student(n - 1) * float(jackknife_error(without))
    return value - half, value + half


def interval(samples: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values (B,), NaN left out; NaN where more than a tenth is."""
    known = samples[np.isfinite(samples)]
    if len(known) < max(1, 0.9 * len(samples)):
        return math.nan, math.nan
    low, high = np.percentile(known, PERCENTS, method="inverted_cdf")
    return float(low), float(high)


def summarize(
    measure: Measure,
    summary: Summary,
    table: pd.DataFrame,
    arms: Sequence[str],
    *,
    oracle: str | None,
    controls: Sequence[str],
    scanners: int,
    seed: int,
    resamples: int = RESAMPLES,
    rescans: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One measure of every method: `COLUMNS`, a row a method.

    `summary` and `table` are the measure's; `oracle` is the arm that pins 1, if any; `rescans` is the same table
    between scans and rescans.
    """
    values, about = over_people(
        values_by_person(table, measure.column, arms),
        summary.over_people,
        seed=seed,
        resamples=resamples,
    )
    people = len(about)
    place = {arm: row for row, arm in enumerate(arms)}
    top = values[place[oracle]] if oracle in place else None
    level = None
    if rescans is not None and not rescans.empty and summary.asks == "removed" and summary.over_people is None:
        level = rescan_level(rescans, measure.column, list(table["subject"].unique()[about]), values.shape[1])
    zero, one, one_is = ends_of_scale(
        measure, summary, values[place[RAW]], top, people=people, scanners=scanners, rescan=level
    )
    scored = scores(measure, values, zero, one)
    competing = [row for arm, row in place.items() if arm not in controls]
    ranked = np.full_like(values, math.nan)
    ranked[competing] = ranks(measure, values[competing], one)
    rows = []
    for arm, row in place.items():
        cells = {"measure": measure.name, "asks": summary.asks, "method": arm, "n": people}
        for name, low, high, sampled in (
            ("value", "ci_low", "ci_high", values),
            ("score", "score_low", "score_high", scored),
        ):
            cells[name] = sampled[row, 0]
            cells[low], cells[high] = jackknife_interval(sampled[row, 0], sampled[row, 1 : 1 + people])
        cells["rank"] = ranked[row, 0]
        cells["rank_low"], cells["rank_high"] = interval(ranked[row, 1 + people :])
        cells |= {"zero": zero[0], "one": one[0], "one_is": one_is}
        cells["ranked"] = int(np.isfinite(ranked[:, 0]).sum())
        rows.append(cells)
    return pd.DataFrame(rows, columns=COLUMNS)


def run_summary(run: Path, *, seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """The summary of a run: `COLUMNS`, a row a measure and arm, from the tables in `RUN/metrics`.

    Measures without a number, as those against an unknown truth, are left out; another may stand in for one.
    """
    described = read_arms(run).values()
    controls = [arm.id for arm in described if not arm.competes]
    oracle = next((arm.id for arm in described if arm.method == ORACLE), None)
    volumes = read_table(RunFolder(run).metric("volumes"))
    seeds = {arm.id for arm in described if arm.role == "seed"}
    arms = [arm for arm in dict.fromkeys(volumes["method"]) if arm not in seeds]
    tables = []
    for measure, summary in registry.summarized():
        table = read_metric(run, measure.table)
        if table is None or RAW not in arms:
            continue
        if not measure.has_numbers_in(table) and measure.name in STAND_INS:
            measure = registry.find(STAND_INS[measure.name])
        if measure.has_numbers_in(table):
            tables.append(
                summarize(
                    measure,
                    summary,
                    table,
                    arms,
                    oracle=oracle,
                    controls=controls,
                    scanners=volumes["scanner"].nunique(),
                    seed=seed,
                    resamples=resamples,
                    rescans=read_metric(run, rescan_table(measure.table)),
                )
            )
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    order = {"removed": 0, "kept": 1, "nearer": 2}
    return pd.concat(tables, ignore_index=True).sort_values("asks", key=lambda asks: asks.map(order), kind="stable")
