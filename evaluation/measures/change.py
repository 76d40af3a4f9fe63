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


def total_sd(values: np.ndarray) -> float:
    """The standard deviation of values (people, pairs) of a person and a pair drawn by chance; NaN is a gap.

    By the law of total variance: the mean over pairs of the variance between people (ddof 1), and the variance of the
    pairs' means. NaN where no pair has two people.
    """
    enough = np.isfinite(values).sum(axis=0) >= 2
    if not enough.any():
        return math.nan
    values = values[:, enough]
    within = np.nanvar(values, axis=0, ddof=1).mean()
    return math.sqrt(within + np.nanmean(values, axis=0).var())


def by_person(values: np.ndarray) -> np.ndarray:
    """The mean over pairs (people,) of values (people, pairs), people without any left out."""
    return np.nanmean(values[np.isfinite(values).any(axis=1)], axis=1)


def mean_and_interval(values: np.ndarray, name: str) -> dict[str, float]:
    """The mean over people of values (people, pairs) as the column `name`, with the ends of Student's interval."""
    people = by_person(values)
    low, high = intervals.of_mean(people)
    mean = float(people.mean()) if len(people) else math.nan
    return {name: mean, f"{name}_low": float(low), f"{name}_high": float(high)}


def matrix(changes: pd.DataFrame, column: str) -> np.ndarray:
    """A column of one method's and tissue's changes (`one_each`) as (people, pairs), NaN where there is none."""
    wide = changes.pivot(index="subject", columns=["scanner_a", "scanner_b"], values=column)
    return wide.to_numpy(dtype=float)


def people_to_see(shown: float, true: float, deviation: float) -> float:
    """How many people a t-test needs to see the mean change `shown`, whose people's SD is `deviation`.

    NaN where the change that is shown is against the true one, which no number of people mends.
    """
    from evaluation.power import people_needed  # takes a second, which single people's measures needn't wait for

    return math.nan if shown * true < 0 else people_needed(shown, deviation)


def of_changes(changes: pd.DataFrame, unchanged: pd.DataFrame, shown: float) -> dict[str, float]:
    """The columns of a summary, of some pairs of one method and tissue: `one_each` of follow-ups, and of rescans.

    `shown` is the mean change in mL that the method's own scans of one scanner show: where a method shrinks changes,
    it shrinks their spread, too, and a study has only what is left to see.
    """
    row: dict[str, float] = {
        "n": changes["subject"].nunique(),
        "pairs": len(changes[["scanner_a", "scanner_b"]].drop_duplicates()),
        "years": float(changes["years"].mean()),
    }
    with warnings.catch_warnings():
        # of people and pairs without any number
        warnings.simplefilter("ignore", RuntimeWarning)
        change, true, error = (matrix(changes, f"{name}_ml") for name in ("change", "true_change", "error"))
        row |= mean_and_interval(true, "true_change_ml")
        row["true_change_percent"] = mean_and_interval(matrix(changes, "true_change_percent"), "mean")["mean"]
        row |= mean_and_interval(change, "change_ml")
        row["change_percent"] = mean_and_interval(matrix(changes, "change_percent"), "mean")["mean"]
        row |= mean_and_interval(np.abs(error), "absolute_error_ml")
        row |= mean_and_interval(np.abs(matrix(changes, "error_percent")), "absolute_error_percent")
        row["pair_bias_ml"] = float(np.nanmean(np.abs(np.nanmean(error, axis=0)))) if error.size else math.nan
        row["change_sd_ml"] = total_sd(change)
        row["people_needed"] = people_to_see(shown, row["true_change_ml"], row["change_sd_ml"])
        row["true_people_needed"] = people_to_see(row["true_change_ml"], row["true_change_ml"], total_sd(true))
        row["false_n"] = unchanged["subject"].nunique()
        row |= mean_and_interval(np.abs(matrix(unchanged, "change_ml")), "false_change_ml")
        row |= mean_and_interval(np.abs(matrix(unchanged, "change_percent")), "false_change_percent")
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
            shown = float(own.loc[own["scanner_a"] == own["scanner_b"]].groupby("subject")["change_ml"].mean().mean())
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
