"""The verdict on every arm of a run: what it removed, whether the person is kept and the truth nearer, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.names import MISSING, RAW
from evaluation.measures import registry
from evaluation.measures.interface import rescan_table
from evaluation.runs.arms_table import Arm, read_arms
from evaluation.runs.metrics import read_metric
from evaluation.verdicts.answers import (
    BEYOND,
    HARMONIZES,
    KEPT,
    LITTLE_BETTER,
    LITTLE_WORSE,
    LOST,
    NOT_COMPARED,
    NOT_SHOWN,
    ONE_FIT,
    SMOOTHER,
    UNCLEAR,
    UNKNOWN,
    WORSE,
)
from evaluation.verdicts.endpoints import VOLUME_DIFFERENCES, Endpoint, endpoints, means_by_person
from evaluation.verdicts.gains import gain_of, gains, with_seeds
from evaluation.verdicts.kept import kept_of

TRUTH = "truth"
"""The table that has rows where the truth is known."""

VERDICT_COLUMNS = [
    "method",
    "removed",
    "removed_share",
    "removed_share_low",
    "removed_share_high",
    "kept",
    "kept_share",
    "kept_share_low",
    "kept_share_high",
    "kept_volume_share",
    "nearer",
    "harmonizes",
    "why",
]

OVER = {"raw": "RAW", "permuted": "its fit on permuted labels", "blur": "the blur as smooth as it is"}
"""What an arm is compared with, as a person reads it."""


def removed_answer(found: pd.DataFrame, better: str, due: Sequence[str] = (), lacking: str = "") -> tuple[str, str]:
    """What an arm's gains in the primary endpoint (rows of `GAIN_COLUMNS`) come to, and why.

    Without a control that is `due`, or with fits that are `lacking` (in words), nothing is known.
    """
    answers = dict(zip(found["control"], found["answer"], strict=True))
    missing = [OVER[control] for control in due if control not in answers]
    if (missing or lacking) and answers.get("raw") == WORSE:
        # no control makes up for that
        return WORSE, f"worse than {OVER['raw']}"
    if missing or lacking:
        return UNKNOWN, "; ".join([*(f"there are no numbers of {name}" for name in missing), *filter(None, [lacking])])
    worse = [OVER[control] for control, answer in answers.items() if answer == WORSE]
    words = {
        UNCLEAR: "no clear difference from {}",
        LITTLE_BETTER: "better than {}, but not surely by what counts",
        LITTLE_WORSE: "worse than {}, but not surely by what counts",
    }
    unclear = [words[answer].format(OVER[control]) for control, answer in answers.items() if answer in words]
    value, rescan = found["value"].iloc[0], found["rescan"].iloc[0]
    if UNKNOWN in answers.values():
        return UNKNOWN, f"the primary endpoint has numbers of {found['n'].min()} people, and two are needed"
    if worse:
        return WORSE, f"worse than {' and '.join(worse)}"
    if unclear:
        return UNCLEAR, "; ".join(unclear)
    if math.isfinite(rescan) and (value > rescan if better == "higher" else value < rescan):
        return SMOOTHER, "more alike between scanners than two scans of one scanner are"
    return BEYOND, f"better than {' and '.join(OVER[control] for control in answers)}"


def removed_by_arm(arm: Arm, part: pd.DataFrame, better: str, described: Mapping[str, Arm]) -> tuple[str, str]:
    """`removed_answer` of an arm's gains in the primary endpoint, and why; `NOT_COMPARED` of one that doesn't compete.

    `described` are all arms of the run, which say which controls and seeds are due.
    """
    if not arm.competes:
        return NOT_COMPARED, "a person's other scans are used" if arm.role == "arm" else "a control"
    removed, why = removed_answer(part, better, arm.due, lacking_seeds(part, described))
    if removed == BEYOND and has_one_fit(arm, part):
        return ONE_FIT, f"{why}, by one fit: what another seed gives isn't known"
    return removed, why


def has_one_fit(arm: Arm, part: pd.DataFrame) -> bool:
    """Whether an arm's gains (rows of `GAIN_COLUMNS`) are by one fit of several that a random training could give."""
    return arm.random_fit and bool(part["seeds"].max() < 2)


def removed_shares(over_raw: Mapping[Any, Any], sign: float) -> dict[str, float]:
    """The share of what there is to gain, from RAW to its rescans, of a gain over RAW (a row of `GAIN_COLUMNS`).

    With its interval; NaN without rescans, or where they are no more alike than RAW's scanners. `sign` is the
    endpoint's.
    """
    span = sign * (over_raw["rescan"] - over_raw["control_value"])
    ends = ("", "_low", "_high")
    return {f"removed_share{end}": over_raw[f"gain{end}"] / span if span > 0 else math.nan for end in ends}


def why_of(removed: str, why: str, kept: str) -> str:
    """Why an arm harmonizes or doesn't, from why it removes what it does and whether the person is kept."""
    if removed != BEYOND or kept == KEPT:
        return why
    return (
        why
        + {
            LOST: ", but the person is lost",
            UNCLEAR: ", but it isn't clear that the person is kept",
            UNKNOWN: ", but it isn't known whether the person is kept",
        }[kept]
    )


def run_verdicts(run: Path, *, primary: str, tissue: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The gains of a run's arms in every endpoint (`GAIN_COLUMNS`), and a verdict an arm (`VERDICT_COLUMNS`).

    Raises `InputError` for a primary endpoint that the run doesn't measure.
    """
    described = read_arms(run)
    tables = _tables_of(run)
    floors = {name: read_metric(run, rescan_table(name)) for name in tables}
    every = endpoints(tables, primary, tissue)
    found = [
        gains(tables[endpoint.measure.table], floors[endpoint.measure.table], endpoint, described) for endpoint in every
    ]
    rows = []
    for arm in described.values():
        part = found[0][found[0]["method"] == arm.id]
        if not part.empty:
            rows.append(_verdict(arm, part, every[0], tables, described))
        elif arm.competes and arm.id != RAW:
            row: dict[str, object] = dict.fromkeys(VERDICT_COLUMNS, math.nan)
            row |= {"method": arm.id, "removed": UNKNOWN, "kept": UNKNOWN}
            of_images = arm.gives == "volumes" and every[0].measure.table != VOLUME_DIFFERENCES
            why = "it gives volumes, and the primary endpoint is of images" if of_images else "it gave no numbers"
            rows.append(row | {"nearer": UNKNOWN, "harmonizes": NOT_SHOWN, "why": why})
    return pd.concat(found, ignore_index=True), pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def _verdict(
    arm: Arm, part: pd.DataFrame, primary: Endpoint, tables: Mapping[str, pd.DataFrame], described: Mapping[str, Arm]
) -> dict[str, object]:
    removed, why = removed_by_arm(arm, part, primary.measure.better, described)
    over_raw = part[part["control"] == "raw"].iloc[0]
    fits = with_seeds(arm.id, described)
    person = kept_of(tables, fits, primary, arm.gives)
    kept = person.answer
    return {
        "method": arm.id,
        "removed": removed,
        **removed_shares(over_raw.to_dict(), primary.sign),
        "kept": kept,
        "kept_share": person.share,
        "kept_share_low": person.low,
        "kept_share_high": person.high,
        "kept_volume_share": person.volumes,
        "nearer": nearer_answer(tables, fits),
        "harmonizes": MISSING if not arm.competes else harmonizes(removed, kept),
        "why": why_of(removed, why, kept),
    }


def harmonizes(removed: str, kept: str) -> str:
    """The verdict on an arm that competes: yes where it removes beyond its controls and keeps the person."""
    return HARMONIZES if removed == BEYOND and kept == KEPT else NOT_SHOWN


def lacking_seeds(part: pd.DataFrame, described: Mapping[str, Arm]) -> str:
    """Which planned fits under further seeds gave no numbers, of the arm and of its controls; empty where all did."""
    told = []
    for row in part.to_dict("records"):
        for arm, seeds in ((row["method"], row["seeds"]), (row["control_arm"], row["control_seeds"])):
            planned = len(with_seeds(arm, described))
            if seeds < planned:
                told.append(f"{planned - seeds} of {planned} fits of {described[arm].label} gave no numbers")
    return "; ".join(dict.fromkeys(told))


def nearer_answer(tables: Mapping[str, pd.DataFrame], fits: Sequence[str]) -> str:
    """Whether images and labels are nearer the truth than RAW's; `UNKNOWN` without a truth.

    Beyond, or worse, where every measure of it says so. Contrast-to-noise is a measure of it too, but on scans
    without a known truth it says nothing.
    """
    if TRUTH not in tables or tables[TRUTH].empty:
        return UNKNOWN
    answers: set[str] = set()
    for measure, summary in registry.summarized():
        if summary.asks == "nearer" and measure.table in tables and measure.column in tables[measure.table]:
            values = means_by_person(tables[measure.table], Endpoint(measure))
            there = [fit for fit in fits if fit in values]
            if there and RAW in values:
                known = Endpoint(measure).sign * values[[*there, RAW]].dropna().to_numpy(float)
                answers.add(gain_of(known[:, :-1].T, known[:, -1:].T).answer())
    better, worse = {BEYOND, LITTLE_BETTER}, {WORSE, LITTLE_WORSE}
    if not answers or UNKNOWN in answers:
        return UNKNOWN
    return BEYOND if answers <= better else WORSE if answers <= worse else UNCLEAR


def _tables_of(run: Path) -> dict[str, pd.DataFrame]:
    """The tables of a run that verdicts are made of, by name."""
    found = {}
    for name in {"volumes", *(measure.table for measure in registry.measures().values() if measure.table)}:
        table = read_metric(run, name)
        if table is not None:
            found[name] = table
    return found
