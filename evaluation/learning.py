"""A learning curve: what an arm gains and keeps on held-out people, by how many travelling people it was fitted on.

A trial is an arm's fit on some of the people. All are judged on the same held-out people, against RAW's scans of the
same, in the run's primary endpoint. Parekh et al. (NeuroImage 264 (2022) 119768) draw learning curves of ComBat on
volumes, of people who were each scanned on one scanner, until a classifier no longer tells scanners apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from core import folds
from core.files import read_json
from core.names import RAW, Gives
from core.run_folder import RunFolder, draw_name, trial_name
from core.sheet import read_sheet
from core.study import Study
from evaluation.arms.gathering import read_arrays, read_rows, read_volumes, split_volumes
from evaluation.arms.parts import REGION_COLUMNS, join
from evaluation.measures import identity, rescans, volumes
from evaluation.measures.interface import Measured, rescan_table
from evaluation.measures.reliability import icc, volumes_of
from evaluation.verdicts.answers import KEPT, UNKNOWN
from evaluation.verdicts.endpoints import Endpoint, endpoints, means_by_person, rescan_floor, volumes_of_endpoint
from evaluation.verdicts.gains import Gain, gain_of
from evaluation.verdicts.kept import kept_of

NOT_WITHIN = "not within the people there are"
"""What is said of an arm whose gain isn't surely above 0, or that doesn't surely keep the person, with all of them."""

NOT_APPLICABLE, NO_NUMBERS = "isn't applicable", "gave no numbers"

TRIAL_COLUMNS = [
    "arm",
    "people",
    "draw",
    "learned_from",
    "status",
    "reason",
    "n",
    "value",
    "raw",
    "rescan",
    "gain",
    "gain_low",
    "gain_high",
    "kept_share",
    "kept_volume_share",
    "icc",
]
SUMMARY_COLUMNS = [
    "arm",
    "people",
    "planned_draws",
    "draws",
    "n",
    "value",
    "value_sd",
    "raw",
    "rescan",
    "gain",
    "gain_low",
    "gain_high",
    "surely",
    "kept",
    "kept_share",
    "kept_share_low",
    "kept_share_high",
    "kept_volume_share",
    "icc",
    "icc_sd",
    "enough_people",
    "enough_kept",
    "answer",
]


def enough_people(people: Sequence[int], surely: Sequence[bool]) -> int | None:
    """The smallest of the numbers of people, ascending, from which on something is sure; None without one."""
    found = None
    for count, sure in zip(reversed(people), reversed(surely), strict=True):
        if not sure:
            break
        found = count
    return found


@dataclass(frozen=True)
class Trial:
    """An arm's fit on some of the people, of draw number `draw`: whom it learned from, and how it ended."""

    arm: str
    people: int
    draw: int
    learned_from: tuple[str, ...]
    status: str
    reason: str


@dataclass(frozen=True, eq=False)
class Curve:
    """What a learning curve is made of.

    trials : by name, which is what their tables call them. gives : by arm. tables : the held-out people's, as those of
    a run's `metrics`, of RAW and every trial that ended well. rescan : RAW's mean between scan and rescan, of everyone
    who was rescanned.
    """

    trials: Mapping[str, Trial]
    gives: Mapping[str, Gives]
    tables: Mapping[str, pd.DataFrame]
    endpoint: Endpoint
    rescan: float

    @cached_property
    def by_person(self) -> pd.DataFrame:
        """The endpoint by held-out person (rows), of RAW and the trials (columns)."""
        return means_by_person(self.tables[self.endpoint.measure.table], self.endpoint)

    def gain(self, names: Sequence[str]) -> tuple[Gain, int]:
        """The gain over RAW of trials of one arm and number of people that gave numbers, and of how many people.

        People and draws are both drawn (`gain_of`); of one draw the interval is over people alone.
        """
        values = self.by_person
        known = values[[*names, RAW]].dropna()
        matrix = self.endpoint.sign * known.to_numpy(float).T
        return gain_of(matrix[:-1], matrix[-1:]), len(known)

    def icc(self, name: str) -> float:
        """ICC(A,1) over scanners of the endpoint's volumes; NaN where it isn't about volumes."""
        found = volumes_of_endpoint(self.tables, self.endpoint)
        if found is None:
            return math.nan
        values, scanners = volumes_of(found[found["method"] == name], self.endpoint.volume_column)
        return float(icc(values)) if len(values) > 1 and len(scanners) > 1 else math.nan


def read_curve(
    run: RunFolder,
    gives: Mapping[str, Gives],
    points: Sequence[tuple[int, int]],
    *,
    fold: str,
    batches: Sequence[str],
    primary: str,
    tissue: str,
) -> Curve:
    """Read the parts of RAW in a run and those of the trials in its folder `learning`.

    `gives` are the arms, with what they give; `points` are people and draw of each one's trials; `fold` is that of the
    judged in the trials' sheets. Raises `InputError` for a part that isn't there and a primary endpoint that isn't
    measured.
    """
    learned = {}
    for point in points:
        sheet = read_sheet(run.learning / "scans" / f"{draw_name(*point)}.tsv", check=False)
        # the same at every point
        judged, learned[tuple(point)] = folds.held_out(sheet, fold), folds.training(sheet, fold).subjects
    found = {}
    for arm, (people, draw) in itertools.product(gives, points):
        name = trial_name(arm, people, draw)
        ended = read_json(run.learning / "status" / name / "judge.json")
        reason = " ".join(ended["reason"].split())
        found[name] = Trial(arm, people, draw, tuple(learned[people, draw]), ended["status"], reason)
    study = read_sheet(run.sheet, check=False)
    ended_well = [name for name, trial in found.items() if trial.status == "ok"]
    of_raw = split_volumes(read_volumes(run.root, [RAW], batches)) | read_rows(run.root, [RAW], batches)
    of_trials = split_volumes(read_volumes(run.learning, ended_well, None)) | read_rows(run.learning, ended_well, None)

    def arrays(module: str, name: str) -> dict[tuple[str, str], np.ndarray]:
        kept = (
            read_arrays(run.root, module, RAW, batches)
            if name == RAW
            else read_arrays(run.learning, module, name, None)
        )
        return {scan: array for scan, array in kept.items() if scan[0] in judged.subjects}

    def measured(of: Study, tables: dict[str, pd.DataFrame], arms: Sequence[str]) -> Measured:
        return Measured(
            study=of,
            arms=arms,
            tables=tables,
            arrays=arrays,
            regions=lambda arm: pd.DataFrame(columns=REGION_COLUMNS),
            seed=0,
            resamples=0,
        )

    arms = [RAW, *ended_well]
    both = {name: join([table, of_trials[name]]) if name in of_trials else table for name, table in of_raw.items()}
    among = measured(judged, both, arms)
    tables = {name: among.in_order(table) for name, table in both.items()}
    among = measured(judged, tables, arms)
    tables |= volumes.of_study(among) | identity.of_study(among)
    endpoint = endpoints(tables, primary, tissue)[0]
    again = {**of_raw, **rescans.of_study(measured(study, of_raw, [RAW]))}
    floor = rescan_floor(again.get(rescan_table(endpoint.measure.table)), endpoint)
    return Curve(found, gives, tables, endpoint, floor)


def trial_table(curve: Curve) -> pd.DataFrame:
    """A row a trial (`TRIAL_COLUMNS`), of those without numbers too; the gain's interval is over held-out people."""
    values = curve.by_person
    rows = []
    for name, trial in curve.trials.items():
        row: dict[str, object] = {
            "arm": trial.arm,
            "people": trial.people,
            "draw": trial.draw,
            "learned_from": ",".join(trial.learned_from),
            "status": trial.status,
            "reason": trial.reason,
            "n": 0,
        }
        if name in values:
            found, count = curve.gain([name])
            kept = kept_of(curve.tables, [name], curve.endpoint, curve.gives[trial.arm])
            row |= {
                "n": count,
                "value": float(values[name].mean()),
                "raw": float(values[RAW].mean()),
                "rescan": curve.rescan,
                "gain": found.gain,
                "gain_low": found.low,
                "gain_high": found.high,
                "kept_share": kept.share,
                "kept_volume_share": kept.volumes,
                "icc": curve.icc(name),
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=TRIAL_COLUMNS)


def summary_table(curve: Curve, trials: pd.DataFrame) -> pd.DataFrame:
    """RAW's row, then one an arm and number of people (`SUMMARY_COLUMNS`), from the curve and its `trial_table`.

    Means and standard deviations are over draws. The gain is surely above 0 where its interval over people and draws
    is, and every planned draw gave numbers. `enough_people` is the smallest number of people from which on it is,
    `enough_kept` that from which on the person is kept, and `answer` says so: the same in each of an arm's rows.
    """
    values = curve.by_person
    raw = {"arm": RAW, "n": int(values[RAW].notna().sum()), "value": float(values[RAW].mean()), "icc": curve.icc(RAW)}
    rows: list[dict[str, object]] = [raw | {"raw": raw["value"], "rescan": curve.rescan}]
    for arm, of_arm in trials.groupby("arm", sort=False):
        own = [_point(curve, str(arm), people, part) for people, part in of_arm.groupby("people")]
        counts = [row["people"] for row in own]
        enough = enough_people(counts, [row["surely"] == "yes" for row in own])
        kept = enough_people(counts, [row["kept"] == KEPT for row in own])
        told = {"enough_people": enough, "enough_kept": kept, "answer": answer(enough, kept, of_arm)}
        rows += [row | told for row in own]
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def _point(curve: Curve, arm: str, people: Any, part: pd.DataFrame) -> dict[str, Any]:
    """An arm's row of one number of people, from the rows of its draws."""
    known = part[part["value"].notna()]
    row: dict[str, Any] = {"arm": arm, "people": int(people), "planned_draws": len(part), "draws": len(known)}
    if known.empty:
        return row | {"n": 0, "surely": UNKNOWN, "kept": UNKNOWN}
    names = [trial_name(arm, people, draw) for draw in known["draw"]]
    found, count = curve.gain(names)
    kept = kept_of(curve.tables, names, curve.endpoint, curve.gives[arm])
    complete = len(known) == len(part) and math.isfinite(found.low)
    return row | {
        "n": count,
        "value": float(known["value"].mean()),
        "value_sd": float(known["value"].std(ddof=1)),
        "raw": float(known["raw"].mean()),
        "rescan": curve.rescan,
        "gain": found.gain,
        "gain_low": found.low,
        "gain_high": found.high,
        "surely": ("yes" if found.low > 0 else "no") if complete else UNKNOWN,
        "kept": kept.answer if complete else UNKNOWN,
        "kept_share": kept.share,
        "kept_share_low": kept.low,
        "kept_share_high": kept.high,
        "kept_volume_share": kept.volumes,
        "icc": float(known["icc"].mean()),
        "icc_sd": float(known["icc"].std(ddof=1)),
    }


def answer(enough: int | None, kept: int | None, trials: pd.DataFrame) -> str:
    """From how many people on an arm surely gains over RAW and keeps the person, or why not, from its trials."""
    failed = trials[trials["status"] != "ok"]
    reason = "" if failed.empty else str(failed["reason"].iloc[0])
    if len(failed) == len(trials):
        ended = NOT_APPLICABLE if set(failed["status"]) == {"not_applicable"} else NO_NUMBERS
        return f"{ended} ({reason})"
    most = f"{NOT_WITHIN} ({trials['people'].max()})"
    gaining, keeping = (most if count is None else f"from {count} people on" for count in (enough, kept))
    told = f"surely gains over RAW {gaining}, and keeps the person {keeping}"
    return told if failed.empty else f"{told}; {len(failed)} of {len(trials)} fits gave nothing ({reason})"


def answers(summary: pd.DataFrame, labels: Mapping[str, str]) -> list[str]:
    """The answer of every arm of a `summary_table`, a sentence each."""
    of_arms = summary[summary["arm"] != RAW].drop_duplicates("arm")
    return [f"{labels[arm]} {told}." for arm, told in zip(of_arms["arm"], of_arms["answer"], strict=True)]
