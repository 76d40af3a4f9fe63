"""The summary: every arm by every measure, on one scale that the controls set; no single score.

Three questions have scales of their own, and no measure answers two:

- removed: what of the scanners' differences is gone? RAW is 0; 1 is the oracle, or, in a run without
  it, the best value there can be.
- kept: what of the person is still there? 0 is nothing (or a guess); 1 is the oracle, or RAW in a run
  without it.
- nearer: is it nearer the truth, or a better image? RAW is 0; 1 is the oracle, or the best value there can be.

A score may lie below 0 (worse than RAW, than nothing) or above 1. Where the oracle is no better than
RAW, or than nothing, the measure has no scale in this run and no score. Intervals resample people, with
the same draws for every arm, through value, scale and rank alike; the classifier isn't trained anew, nor
the others among whom a person is recognized drawn anew. Ranks are among the arms that aren't controls; in what
is to be kept, all that is as good as 1 ranks alike.
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
from evaluation.measures import registry
from evaluation.measures.interface import Measure, OverPeople, Summary
from evaluation.runs.arms_table import read_arms

ORACLE = "oracle"
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
    ends = [end for end in ("scanner", "scanner_a", "scanner_b") if end in table]
    places = table[ends].agg("\t".join, axis=1)
    axes = [pd.Categorical(values, categories=values.unique()) for values in (table["subject"], places, tissues)]
    found = np.full((len(arms), *(len(axis.categories) for axis in axes)), math.nan)
    rows = pd.Categorical(table["method"], categories=list(arms)).codes
    known = rows >= 0
    found[rows[known], *(axis.codes[known] for axis in axes)] = table[column].to_numpy(dtype=float)[known]
    return found


def over_people(
    values: np.ndarray, function: OverPeople | None, *, seed: int, resamples: int
) -> tuple[np.ndarray, int]:
    """A measure of each method, (methods, 1 + resamples): of all people, then of people drawn with replacement.

    `values` are as `values_by_person` gives them. Without a function it is the mean of the people's
    means; with one, people with a gap in any method that has values are left out. Returns how many
    people it is about, too.
    """
    there = np.isfinite(values).any(axis=(1, 2, 3))
    if function is not None:
        values = values[:, np.isfinite(values[there]).all(axis=(0, 2, 3))]
    elif values.size:
        counts = np.isfinite(values).sum(axis=(2, 3))
        means = np.nansum(values, axis=(2, 3)) / np.maximum(counts, 1)
        values = np.where(counts > 0, means, math.nan)
        values = values[:, np.isfinite(values[there]).any(axis=0)]
    people = values.shape[1]
    found = np.full((len(values), 1 + resamples), math.nan)
    if people >= 2:
        drawn = np.random.default_rng(seed).integers(people, size=(resamples, people))
        samples = np.concatenate([np.arange(people)[None], drawn])
        for row in np.flatnonzero(there):
            found[row] = _mean_of_people(values[row][samples]) if function is None else function(values[row][samples])
    return found, people


def _mean_of_people(values: np.ndarray) -> np.ndarray:
    counts = np.isfinite(values).sum(axis=-1)
    return np.where(counts > 0, np.nansum(values, axis=-1) / np.maximum(counts, 1), math.nan)


def ends_of_scale(
    measure: Measure, summary: Summary, raw: np.ndarray, oracle: np.ndarray | None, *, people: int, scanners: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """The values that are 0 and 1 for a measure, each like `raw` (S,), and in words what 1 is."""
    guess = {"people": 1 / max(people, 1), "scanners": 1 / scanners, None: None}[summary.guess]
    if summary.asks == "kept":
        zero = np.full_like(raw, 0.0 if guess is None else guess)
        return (zero, raw, "RAW") if oracle is None else (zero, oracle, "oracle")
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
) -> pd.DataFrame:
    """One measure of every method: `COLUMNS`, a row a method.

    `summary` and `table` are the measure's; `oracle` is the arm that pins 1, if any.
    """
    values, people = over_people(
        values_by_person(table, measure.column, arms),
        summary.over_people,
        seed=seed,
        resamples=resamples,
    )
    place = {arm: row for row, arm in enumerate(arms)}
    top = values[place[oracle]] if oracle in place else None
    zero, one, one_is = ends_of_scale(measure, summary, values[place[RAW]], top, people=people, scanners=scanners)
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
            ("rank", "rank_low", "rank_high", ranked),
        ):
            cells[name] = sampled[row, 0]
            cells[low], cells[high] = interval(sampled[row, 1:])
        cells |= {"zero": zero[0], "one": one[0], "one_is": one_is}
        cells["ranked"] = int(np.isfinite(ranked[:, 0]).sum())
        rows.append(cells)
    return pd.DataFrame(rows, columns=COLUMNS)


def run_summary(run: Path, *, seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """The summary of a run: `COLUMNS`, a row a measure and arm, from the tables in `RUN/metrics`.

    Measures without a number, as those against an unknown truth, are left out.
    """
    described = read_arms(run).values()
    controls = [arm.id for arm in described if arm.control]
    oracle = next((arm.id for arm in described if arm.method == ORACLE), None)
    volumes = read_table(RunFolder(run).metric("volumes"))
    arms = list(dict.fromkeys(volumes["method"]))
    tables = []
    for measure, summary in registry.summarized():
        path = RunFolder(run).metric(measure.table)
        if not path.is_file() or RAW not in arms:
            continue
        table = read_table(path)
        if measure.column in table and table[measure.column].notna().any():
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
                )
            )
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    order = {"removed": 0, "kept": 1, "nearer": 2}
    return pd.concat(tables, ignore_index=True).sort_values("asks", key=lambda asks: asks.map(order), kind="stable")
