"""The report's first screen: which method, and how sure. Sentences from a run's verdicts, gains and settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.brain_edge import LARGEST_EDGE_BIAS
from core.errors import InputError
from evaluation.label_trust import ON_LABELS, doubt_note
from evaluation.measures import registry
from evaluation.runs.finished_run import ENDED, FinishedRun, is_yes
from evaluation.segmenters import COLUMNS as SEGMENTER_COLUMNS
from evaluation.segmenters import sentence as segmenters_sentence
from evaluation.tables.notes import rules_note
from evaluation.verdicts.answers import BEYOND, KEPT, LOST, NOT_COMPARED, SMOOTHER, UNKNOWN, WORSE
from evaluation.verdicts.endpoints import endpoint_label
from evaluation.verdicts.gains import GAIN_COLUMNS
from evaluation.verdicts.kept import kept_answer
from evaluation.verdicts.verdict import OVER, VERDICT_COLUMNS, has_one_fit

FEW_PEOPLE = 12
"""Below it an interval of people is so wide that only large gains show."""

LARGE_SEED_SHARE = 0.5
BLACK_BOXES = ("external", "command")
"""Methods of which this run can't know what they were fitted on."""

MARKS = {BEYOND: "yes", KEPT: "yes", WORSE: "no", LOST: "no", SMOOTHER: "no", UNKNOWN: "unknown"}
"""How an answer is marked; one that isn't here is open: there is no clear difference."""

QUESTIONS = {
    "removed": "Are differences between scanners removed, beyond the controls?",
    "kept": "Is the person kept?",
    "nearer": "Is it nearer the truth?",
}


def first_screen(run: FinishedRun) -> dict[str, Any]:
    """What the report says first; empty for a run without verdicts.

    `endpoint`: the primary endpoint, stated before any result. `answer`: which arms harmonize. `questions`: by
    heading, for every arm that is compared a mark (`MARKS`) and a sentence. `warnings`: what the answers hang on.
    """
    verdicts = run.table("statistics/verdicts.tsv", VERDICT_COLUMNS)
    gains = run.table("statistics/gains.tsv", GAIN_COLUMNS)
    if verdicts is None or gains is None or verdicts.empty:
        return {}
    verdicts = verdicts[verdicts["removed"] != NOT_COMPARED]
    primary = gains[(gains["endpoint"] == "primary") & gains["method"].isin(verdicts["method"])]
    for method in verdicts["method"]:
        if method not in run.described:
            raise InputError(
                f"{run.files.arms}: names no '{method}', of which statistics/verdicts.tsv has a verdict; start the run "
                "again to have both made anew"
            )
    rows = verdicts.to_dict("records")
    # where every arm failed there is nothing to answer; the failures stand above
    if primary.empty:
        return {}
    return {
        "endpoint": endpoint_sentence(run, primary),
        "answer": answer_sentence(run, rows),
        "questions": {
            QUESTIONS["removed"]: [_removed(run, row, primary, gains) for row in rows],
            QUESTIONS["kept"]: [_kept(run, row) for row in rows],
            QUESTIONS["nearer"]: [_nearer(run, row) for row in rows],
        },
        "warnings": warnings(run, primary, [row["method"] for row in rows]),
    }


def endpoint_sentence(run: FinishedRun, primary: pd.DataFrame) -> str:
    """The primary endpoint in words."""
    first = primary.iloc[0]
    measure = registry.find(first["measure"])
    named = run.primary_measure
    chosen = "the one that the configuration names"
    if named not in ("", first["measure"]):
        chosen = (
            f"it stands in for the one that the configuration names ({registry.find(named).label}), of which the "
            "segmentation gives no numbers"
        )
    return (
        f"{endpoint_label(first['measure'], first['tissue'])}, averaged over {len(run.pairs)} pairs of scanners, "
        f"{measure.better} is better: {chosen}. A gain counts from {first['margin']:.3g} "
        f"{measure.unit} on. All else on this page is exploratory."
    )


def answer_sentence(run: FinishedRun, rows: list[dict[Any, Any]]) -> str:
    """Which of the arms harmonize beyond their controls and keep the person."""
    shown = [run.label(row["method"]) for row in rows if row["harmonizes"] == "yes"]
    of = f"of {len(rows)} arm{'s' if len(rows) != 1 else ''}, in {len(run.subjects)} people, by the primary endpoint"
    if not shown:
        return (
            f"No arm is shown to harmonize ({of}): none surely gains beyond all of its controls and keeps the person."
        )
    return f"Shown to harmonize, beyond their controls and keeping the person ({of}): {', '.join(shown)}."


def _removed(run: FinishedRun, row: Mapping[Any, Any], primary: pd.DataFrame, gains: pd.DataFrame) -> dict[str, str]:
    part = primary[primary["method"] == row["method"]]
    setback = next((found for found in run.setbacks if found.arm == row["method"]), None)
    if setback is not None and part.empty:
        text = f"{ENDED[setback.status]}: {setback.reason}."
        return {"label": run.label(row["method"]), "mark": MARKS[UNKNOWN], "text": text}
    if row["removed"] == UNKNOWN or part.empty:
        return {"label": run.label(row["method"]), "mark": MARKS[UNKNOWN], "text": f"{UNKNOWN}: {row['why']}."}
    first = part.iloc[0]
    measure = registry.find(first["measure"])
    unit = f" {measure.unit}" if measure.unit else ""
    levels = [f"{OVER[found['control']]} {found['control_value']:.3g}" for found in part.to_dict("records")]
    if math.isfinite(first["rescan"]):
        levels.append(f"rescans of RAW {first['rescan']:.3g}, of {run.rescans['subject'].nunique()} people")
    over = [
        f"over {OVER[found['control']]} {found['gain']:.3g} ({found['gain_low']:.3g} to {found['gain_high']:.3g})"
        for found in part.to_dict("records")
    ]
    seeds = f", {int(first['seeds'])} seeds" if first["seeds"] > 1 else ""
    black_box = run.described[row["method"]].method in BLACK_BOXES
    protocol = "fitted elsewhere" if black_box else run.protocol
    return {
        "label": run.label(row["method"]),
        "mark": MARKS.get(row["removed"], "open"),
        "text": (
            f"{row['why']}. {first['value']:.3g}{unit} ({', '.join(levels)}); gain {', '.join(over)}: 95 % intervals "
            f"over {int(part['n'].min())} people{seeds}, {protocol}.{worst_tissue(gains, first)}"
        ),
    }


def worst_tissue(gains: pd.DataFrame, primary: Mapping[Any, Any]) -> str:
    """The tissue in which an arm gains least over RAW, relative to RAW, by the primary endpoint's measure."""
    same = gains[
        (gains["measure"] == primary["measure"]) & (gains["method"] == primary["method"]) & (gains["control"] == "raw")
    ]
    if len(same) < 2:
        return ""
    relative = (same["gain"] / same["control_value"]).to_numpy(float)
    if not np.isfinite(relative).any():
        return ""
    worst = same.iloc[int(np.nanargmin(relative))]
    return (
        f" Worst tissue: {worst['tissue']}, gain over RAW {worst['gain']:.3g} ({worst['gain_low']:.3g} to "
        f"{worst['gain_high']:.3g}) of {worst['control_value']:.3g}."
    )


def _kept(run: FinishedRun, row: Mapping[Any, Any]) -> dict[str, str]:
    of_volumes = run.described[row["method"]].gives == "volumes"
    what = "covariance of people's volumes on two scanners" if of_volumes else "variance between people"
    share = (
        f"{row['kept_share']:.0%} ({row['kept_share_low']:.0%} to {row['kept_share_high']:.0%}) of RAW's {what}"
        if math.isfinite(row["kept_share"])
        else "not measured"
    )
    if math.isfinite(row["kept_volume_share"]) and not of_volumes:
        share += f" in images, {row['kept_volume_share']:.0%} in the primary endpoint's volumes"
    # images may keep the person where their volumes don't
    in_images = kept_answer(row["kept_share_low"], row["kept_share_high"])
    in_volumes = " in volumes" if row["kept"] == LOST and in_images == KEPT else ""
    return {
        "label": run.label(row["method"]),
        "mark": MARKS.get(row["kept"], "open"),
        "text": f"{row['kept']}{in_volumes}: {share}.",
    }


def _nearer(run: FinishedRun, row: Mapping[Any, Any]) -> dict[str, str]:
    words = {
        BEYOND: "nearer than RAW by every measure of it",
        UNKNOWN: "the truth isn't known in this study",
        WORSE: "farther than RAW by every measure of it",
    }
    if run.described[row["method"]].gives == "volumes":
        words[UNKNOWN] = "not asked of volumes alone; their errors stand in table_truth where the truth is known"
    answer = row["nearer"]
    return {
        "label": run.label(row["method"]),
        "mark": MARKS.get(answer, "open"),
        "text": f"{words.get(answer, f'{answer} from RAW, or measures disagree')}.",
    }


def warnings(run: FinishedRun, primary: pd.DataFrame, arms: list[str]) -> list[str]:
    """What the answers hang on: few people, fits on the scans they are judged on, missing controls, seeds, the rule."""
    told = []
    people = int(primary["n"].min())
    if people < FEW_PEOPLE:
        told.append(f"{people} people: only large gains can be told from none.")
    if run.left_out:
        told.append(f"No fit saw {run.left_out}: what is judged are its pairs with the others.")
    elif not run.folds:
        told.append("Transductive: every arm was fitted on the scans it is judged on (`protocol: kfold` holds out).")
    seen = set(run.rescans["scanner"]) if len(run.rescans) else set()
    if seen and seen != set(run.scanners):
        told.append(f"Rescans on {', '.join(sorted(seen))} alone stand for those on every scanner.")
    if primary["rescan"].isna().all():
        told.append(
            "Nobody was rescanned: how alike two scans of one scanner are isn't known here, so an arm that is smoother "
            "than a rescan can't be told from one that harmonizes. Add rescans to the sheet (column session)."
        )
    for arm in arms:
        told += _warnings_of_arm(run, arm, primary[primary["method"] == arm])
    told.append(f"{rules_note(run.only('arm'))} The primary endpoint is by {_primary_rule(primary)}.")
    volumes = run.table("metrics/volumes.tsv", ["engine"])
    doubt = "" if volumes is None else doubt_note(volumes, run.label)
    if doubt:
        rests = "rests on them" if primary["measure"].iloc[0] in ON_LABELS else "isn't about labels themselves"
        told.append(f"{doubt} The primary endpoint {rests}.")
    segmenters = run.table("statistics/segmenters.tsv", SEGMENTER_COLUMNS)
    if segmenters is not None and not segmenters.empty:
        told.append(segmenters_sentence(segmenters.assign(own=is_yes(segmenters["own"]))))
        if segmenters["engine"].nunique() == 1:
            told.append(
                f"One segmenter ({segmenters['engine'].iloc[0]}): whether another says the same isn't known here "
                "(`segmentation: engines`)."
            )
    return told


def _warnings_of_arm(run: FinishedRun, arm: str, part: pd.DataFrame) -> list[str]:
    about, label = run.described[arm], run.label(arm)
    told = []
    permuted = part[part["control"] == "permuted"]
    if has_one_fit(about, part):
        told.append(f"{label} has one fit: what of its gain is the seed isn't known (`controls: seeds`).")
    if not permuted.empty and permuted["control_seeds"].max() < 2:
        told.append(f"{label}: one permutation of the labels, whose chance isn't in the interval (`controls: seeds`).")
    if about.method in BLACK_BOXES and not about.learns_scanners:
        told.append(
            f"{label} comes from elsewhere: whether it learned from these scans isn't known, and no fit of it "
            "on permuted labels can be made."
        )
    told += _edge_warning(run, arm)
    share = part["seed_share"].max()
    if share > LARGE_SEED_SHARE:
        told.append(f"{label}: {share:.0%} of the uncertainty of a gain is the training seed's.")
    return told


def _edge_warning(run: FinishedRun, arm: str) -> list[str]:
    """That an arm changes the brain's edge otherwise than its inside; a map of intensities can't."""
    found = run.table("metrics/edge.tsv", ["method", "scanner", "edge_bias"])
    if found is None or run.described[arm].maps_intensities:
        return []
    means = found[found["method"] == arm].groupby("scanner", sort=False)["edge_bias"].mean()
    large = means[means.abs() > LARGEST_EDGE_BIAS]
    if large.empty:
        return []
    sizes = ", ".join(f"{bias:+.2f} ({scanner})" for scanner, bias in large.items())
    return [
        f"{run.label(arm)} changes the brain's outermost layer of voxels otherwise than those tissues deeper in it, by "
        f"{sizes} of the brain's mean (table_edge): volumes of cerebrospinal fluid follow that."
    ]


def _primary_rule(primary: pd.DataFrame) -> str:
    words = {"volume_difference_pve": "partial-volume sum", "volume_difference_hard": "hard label"}
    measure = primary["measure"].iloc[0]
    return words.get(measure, registry.find(measure).label)
