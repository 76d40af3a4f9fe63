"""How wrong a person's change over time is when it is measured, on the same scanner and across an upgrade.

A person is scanned on scanner A and years later, with some change of the brain, on scanner B: the same one, or another
in its place. Every pair of a scan at time 0 and a follow-up is such a person's, and of a scan and a rescan, between
which nothing changed. Pairs are ordered: from A to B isn't from B to A.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

from core.names import TISSUES
from evaluation import intervals, volume_rules
from evaluation.measures.interface import FOLLOW_UPS, Measure, Measured, rescan_table

TABLE = "changes"
BY_PAIR = "change_by_pair"
SUMMARY = "change"
SAME, UPGRADE = "same scanner", "upgrade"

IDS = ["method", "subject", "tissue", "scanner_a", "scanner_b"]
COLUMNS = [
    *IDS,
    "session",
    "years",
    "baseline_ml",
    "change_ml",
    "change_percent",
    "true_change_ml",
    "true_change_percent",
    "error_ml",
    "error_percent",
]

MEASURES = (
    Measure(
        name="change_error",
        label="Error of the change",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "|(V_b - V_a) - (T_b - T_a)| of a tissue's volumes V on scanner a at the start and on scanner b at the "
            "follow-up, T the true ones, V the sum of partial volumes."
        ),
    ),
    Measure(
        name="false_change",
        label="False change",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "|V_b - V_a| of a tissue's volumes V on scanner a and, in another session at the same time, on scanner b: "
            "what of a change is measured where there is none."
        ),
    ),
)


def pairs_in_time(first: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """How a tissue's volume changed from every scan of a person to every later one: `COLUMNS`.

    `first` has method, subject, scanner, tissue, volume_ml and true_volume_ml, `later` session and time beside them,
    whose time is 0 in rescans: of these the true change is 0. Percent are of the volume at the start; an error is
    measured minus true, NaN where the truth isn't known.
    """
    keys = ["method", "subject", "tissue"]
    found = first.merge(later, on=keys, suffixes=("_a", "_b")).rename(columns={"time": "years"})
    start, true_start = found["volume_ml_a"], found["true_volume_ml_a"]
    found["baseline_ml"] = start
    found["change_ml"] = found["volume_ml_b"] - start
    found["change_percent"] = 100 * found["change_ml"] / start.where(start > 0)
    same_time = found["years"] == 0
    true_change = found["true_volume_ml_b"] - true_start
    found["true_change_ml"] = true_change.where(~same_time, 0.0)
    found["true_change_percent"] = (100 * true_change / true_start).where(~same_time, 0.0)
    for unit in ("ml", "percent"):
        found[f"error_{unit}"] = found[f"change_{unit}"] - found[f"true_change_{unit}"]
    return found[COLUMNS]


def one_each(changes: pd.DataFrame) -> pd.DataFrame:
    """Of each person, tissue and pair the last follow-up, the first one of several at that time."""
    return changes.sort_values("years", ascending=False, kind="stable").drop_duplicates(IDS).sort_index()


def total_sd(values: np.ndarray) -> np.ndarray:
    """The standard deviation (...) of values (..., people, pairs) of a person and a pair drawn by chance; NaN is a gap.

    By the law of total variance: the mean over pairs of the variance between people (ddof 1), and the variance of the
    pairs' means. NaN where no pair has two people.
    """
    found = np.ma.masked_invalid(values)
    enough = found.count(axis=-2) >= 2
    within = np.ma.array(found.var(axis=-2, ddof=1), mask=~enough)
    means = np.ma.array(found.mean(axis=-2), mask=~enough)
    return np.ma.filled(np.ma.sqrt(within.mean(axis=-1) + means.var(axis=-1)).astype(float), math.nan)


def by_person(values: np.ndarray) -> np.ndarray:
    """The mean over pairs (people,) of values (people, pairs), people without any left out."""
    return np.nanmean(values[np.isfinite(values).any(axis=1)], axis=1)


def mean_and_interval(values: np.ndarray, name: str) -> dict[str, float]:
    """The mean over people of values (people, pairs) as the column `name`, with the ends of Student's interval."""
    people = by_person(values)
    low, high = intervals.of_mean(people)
    mean = float(people.mean()) if len(people) else math.nan
    return {name: mean, f"{name}_low": float(low), f"{name}_high": float(high)}


def values_of(changes: pd.DataFrame, column: str) -> np.ndarray:
    """`matrix` as an array (people, pairs)."""
    return matrix(changes, column).to_numpy()


def matrix(changes: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column of one method's and tissue's changes (`one_each`): a row a person, a column a pair, NaN where none."""
    return changes.pivot(index="subject", columns=["scanner_a", "scanner_b"], values=column).astype(float)


def people_to_see(shown: pd.Series, values: pd.DataFrame, true: float, name: str) -> dict[str, float]:
    """How many people a t-test needs to see the mean of the changes `shown`, as the column `name`, and its interval.

    `shown` has a person's change, `values` people's by pair, whose SD the t-test meets (`total_sd`). The number is
    NaN where the change that is shown is against the true one, which no number of people mends; where the truth
    isn't known none is. All are NaN where the true change is 0: there is nothing to see. The interval is over
    people, of the same pairs: `intervals.of_effect_size` of the mean over the SD, by leaving one person out of
    both, as the numbers of people that its ends need. Its upper end is infinite where it reaches 0, so that no
    number of people need be enough; both are NaN of fewer than three people.
    """
    from evaluation.power import people_interval, people_needed  # takes a second, which single people needn't wait for

    if true == 0:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), math.nan)
    people = sorted({*shown.index, *values.index})
    by_person, by_pair = shown.reindex(people).to_numpy(dtype=float), values.reindex(people).to_numpy()
    mean, deviation = float(shown.mean()), float(total_sd(by_pair))
    way = math.copysign(1, mean if math.isnan(true) else true)
    low, high = effect_interval(way * by_person, by_pair)
    fewest, most = people_interval(float(low), float(high))
    needed = math.nan if mean * true < 0 else people_needed(mean, deviation)
    return {name: needed, f"{name}_low": fewest, f"{name}_high": most}


def untold(needed: float, low: float, high: float) -> bool:
    """Whether it can't be told how many people are `needed`, by their interval: a number beside it would mislead."""
    return (math.isfinite(low) and not math.isfinite(high)) or (math.isfinite(needed) and math.isnan(high))


def effect_interval(shown: np.ndarray, values: np.ndarray) -> intervals.Interval:
    """The interval (...) of the mean of `shown` (..., people) over the `total_sd` of values (..., people, pairs)."""

    def size(shown: np.ndarray, values: np.ndarray) -> np.ndarray:
        deviation = total_sd(values)
        return np.nanmean(shown, axis=-1) / np.where(deviation > 0, deviation, math.nan)

    people = shown.shape[-1]
    known = np.isfinite(shown), np.isfinite(values).any(axis=-1)
    fewest = min(int(of_one.sum(axis=-1).min(initial=people)) for of_one in known)
    if fewest < 3:
        none = np.full(shown.shape[:-1], math.nan)
        return none, none.copy()
    without = [size(np.delete(shown, person, -1), np.delete(values, person, -2)) for person in range(people)]
    return intervals.of_effect_size(size(shown, values), np.stack(without), fewest)


def of_changes(changes: pd.DataFrame, unchanged: pd.DataFrame, shown: pd.Series) -> dict[str, float]:
    """The columns of a summary, of some pairs of one method and tissue: `one_each` of follow-ups, and of rescans.

    `shown` has, by person, the change in mL that the method's own scans of one scanner show: where a method shrinks
    changes, it shrinks their spread, too, and a study has only what is left to see.
    """
    row: dict[str, float] = {
        "n": changes["subject"].nunique(),
        "pairs": len(changes[["scanner_a", "scanner_b"]].drop_duplicates()),
        "years": float(changes["years"].mean()),
    }
    with warnings.catch_warnings():
        # of people and pairs without any number
        warnings.simplefilter("ignore", RuntimeWarning)
        by_pair = {name: matrix(changes, f"{name}_ml") for name in ("change", "true_change", "error")}
        change, true, error = (found.to_numpy() for found in by_pair.values())
        row |= mean_and_interval(true, "true_change_ml")
        row["true_change_percent"] = mean_and_interval(values_of(changes, "true_change_percent"), "mean")["mean"]
        row |= mean_and_interval(change, "change_ml")
        row["change_percent"] = mean_and_interval(values_of(changes, "change_percent"), "mean")["mean"]
        row |= mean_and_interval(np.abs(error), "absolute_error_ml")
        row |= mean_and_interval(np.abs(values_of(changes, "error_percent")), "absolute_error_percent")
        row["pair_bias_ml"] = float(np.nanmean(np.abs(np.nanmean(error, axis=0)))) if error.size else math.nan
        row["change_sd_ml"] = float(total_sd(change))
        row |= people_to_see(shown, by_pair["change"], row["true_change_ml"], "people_needed")
        true_shown = by_pair["true_change"].mean(axis=1)
        row |= people_to_see(true_shown, by_pair["true_change"], row["true_change_ml"], "true_people_needed")
        row["false_n"] = unchanged["subject"].nunique()
        row |= mean_and_interval(np.abs(values_of(unchanged, "change_ml")), "false_change_ml")
        row |= mean_and_interval(np.abs(values_of(unchanged, "change_percent")), "false_change_percent")
    return row


def kinds(changes: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of one scanner, and those across an upgrade."""
    same = changes["scanner_a"] == changes["scanner_b"]
    yield SAME, changes[same]
    yield UPGRADE, changes[~same]


def summaries(changes: pd.DataFrame, arms: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a method, tissue and kind; and a row a pair of scanners.

    `changes` is what `pairs_in_time` gives, of follow-ups and of rescans. A pair's `bias_ml` is its mean error, which
    more people don't lessen, and its `people_needed` are those of a study that knows it. A method without any
    follow-up has rows where n is 0.
    """
    rows, of_pairs = [], []
    chosen = one_each(changes[changes["years"] > 0])
    rescans = one_each(changes[changes["years"] == 0])
    for arm in arms:
        for tissue in TISSUES:
            own, again = (part[(part["method"] == arm) & (part["tissue"] == tissue)] for part in (chosen, rescans))
            shown = own.loc[own["scanner_a"] == own["scanner_b"]].groupby("subject")["change_ml"].mean()
            needed = math.nan
            for (kind, found), (_, unchanged) in zip(kinds(own), kinds(again), strict=True):
                row = of_changes(found, unchanged, shown)
                needed = row["people_needed"] if kind == SAME else needed
                ratio = {"people_ratio": row["people_needed"] / needed}
                rows.append({"method": arm, "tissue": tissue, "kind": kind, **row, **ratio})
                for (a, b), of_pair in found.groupby(["scanner_a", "scanner_b"], sort=False):
                    still = unchanged[(unchanged["scanner_a"] == a) & (unchanged["scanner_b"] == b)]
                    about = {"method": arm, "tissue": tissue, "kind": kind, "scanner_a": a, "scanner_b": b}
                    told = of_changes(of_pair, still, shown)
                    del told["pairs"], told["pair_bias_ml"]
                    signed = {
                        "bias_ml": float(of_pair["error_ml"].mean()),
                        "false_bias_ml": float(still["change_ml"].mean()),
                    }
                    of_pairs.append({**about, **told, **signed})
    return pd.DataFrame(rows), pd.DataFrame(of_pairs)


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Changes of every person, by pair of scanners, and in all; no table where no arm has a follow-up.

    By the main rule of what counts as a tissue, which `rule` names.
    """
    later = measured.tables.get(FOLLOW_UPS)
    if later is None or later.empty:
        return {}
    volumes = measured.tables["volumes"]
    main = volume_rules.main_rule(volumes, "volume_ml")
    keys = ["method", "subject", "scanner", "tissue"]
    truth = measured.tables["truth"]
    true_start = truth[[*keys[1:], "true_volume_ml"]].drop_duplicates(keys[1:])
    first = volumes[keys].assign(volume_ml=volumes[f"volume_ml{main}"]).merge(true_start, on=keys[1:], how="left")
    again = measured.tables[rescan_table("volumes")].assign(time=0.0, true_volume_ml=math.nan)
    ways = [*keys, "session", "time", "true_volume_ml"]
    both = pd.concat([part[ways].assign(volume_ml=part[f"volume_ml{main}"]) for part in (later, again) if len(part)])
    changes = pairs_in_time(first, both)
    if measured.study.left_out:
        concerned = (changes[["scanner_a", "scanner_b"]] == measured.study.left_out).any(axis=1)
        changes = changes[concerned].reset_index(drop=True)
    arms = [arm for arm in measured.arms if (volumes["method"] == arm).any()]
    summary, by_pair = summaries(changes, arms)
    rule = volume_rules.NAMES[main]
    return {
        TABLE: changes.assign(rule=rule),
        BY_PAIR: by_pair.assign(rule=rule),
        SUMMARY: summary.assign(rule=rule),
    }
