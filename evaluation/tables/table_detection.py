"""How well patients are told from controls across scanners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.measures import registry
from evaluation.measures.biology import TRUTH
from evaluation.measures.detection import COLUMNS, NUMBERS
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes

HEADS = {
    "auc_same": "AUC, same scanner",
    "auc_other": "AUC, another scanner",
    "drop": "Drop",
    "auc_confounded": "AUC, confounded",
}
KINDS = {"tissues": "Volumes of three tissues", "regions": "Volumes of gray matter by region"}


def make(run: FinishedRun) -> Table | None:
    """Areas under the curve, their drop and the agreement; None without two groups of diagnosis of enough people."""
    found = run.table("metrics/detection.tsv", COLUMNS)
    if found is None or found.empty:
        return None
    labels = {TRUTH: "Truth", **{arm: run.label(arm) for arm in run.arms}}
    panels = []
    for kind, part in found.groupby("features", sort=False):
        rows: list[list[str | Entry]] = [
            [labels[row["method"]], f"{row['n']} ({row['cases']})", *_entries(row)] for row in part.to_dict("records")
        ]
        title = f"{KINDS[str(kind)]}: {part['contrast'].iloc[0]}"
        panels.append(Panel(title, ["Method", "n (cases)", *HEADS.values(), "ICC of decision values"], rows))
    measures = map(registry.find, ("auc_other", "auc_confounded", "decision_icc"))
    notes = [
        "[from to]: 95 % interval by resampled people of each group, with the fits as they are. Gray matter falls with "
        "age too, which nothing is corrected for here.",
        *(f"{measure.label}: {measure.definition}" for measure in measures),
    ]
    if TRUTH in set(found["method"]):
        notes.insert(1, "Truth: by the true volumes of these people, the same on every scanner: the ceiling.")
    data = found.assign(label=found["method"].map(labels))
    return Table("table_detection", "Patients told from controls across scanners", data, panels, all_notes(run, notes))


def _entries(row: Mapping[Any, Any]) -> list[Entry]:
    entries = [number(row[name], 2, f" [{row[f'{name}_low']:.2f} {row[f'{name}_high']:.2f}]") for name in NUMBERS]
    return [*entries, number(row["decision_icc"], 2)]
