"""What age and diagnosis explain of the volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.names import PAPER_TISSUES
from evaluation.measures import registry
from evaluation.measures.biology import COLUMNS as BIOLOGY_COLUMNS
from evaluation.measures.biology import TRUTH
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes, segmentation_note

QUANTITIES = {
    # column: its lower and upper end
    "effect_ml": ("effect_low_ml", "effect_high_ml"),
    "effect_ml_hard": ("effect_low_ml_hard", "effect_high_ml_hard"),
    "variance_explained": ("variance_explained_low", "variance_explained_high"),
    "sample_size_ratio": None,
}


def make(run: FinishedRun) -> Table | None:
    """What age and diagnosis explain of the volumes; None for a study without such covariates, or enough people."""
    found = run.table("metrics/biology.tsv", BIOLOGY_COLUMNS)
    if found is None or found.empty:
        return None
    labels = {TRUTH: "Truth", **{arm: run.label(arm) for arm in run.arms}}
    panels = []
    for (covariate, contrast), part in found.groupby(["covariate", "contrast"], sort=False):
        rows: list[list[str | Entry]] = []
        for tissue in PAPER_TISSUES:
            for arm, label in labels.items():
                for cell in part[(part["tissue"] == tissue) & (part["method"] == arm)].to_dict("records"):
                    rows.append([tissue, label, str(cell["n"]), *_entries(cell)])
        header = [
            "Tissue",
            "Method",
            "n",
            f"Effect, mL, {contrast}",
            "by hard label",
            "Variance explained, adjusted",
            "Sample-size ratio",
        ]
        panels.append(Panel(str(covariate).capitalize(), header, rows))
    notes = [
        "Effect: slope of a straight line over people of their volumes' means over scanners on the covariate, with its "
        "sign; covariates one at a time. Volumes are partial-volume sums, and hard labels beside them. [from to]: 95 % "
        "interval, Student's t with n - 2 degrees of freedom; for the variance explained from noncentral F, a "
        "number below 0 read as 0.",
        *(
            f"{measure.label}: {measure.definition}"
            for measure in map(registry.find, ("variance_explained", "sample_size_ratio"))
        ),
        segmentation_note(run),
    ]
    if TRUTH in set(found["method"]):
        notes.insert(1, "Truth: the same of the true tissue fractions of these people; its interval is over people.")
    data = found.assign(label=found["method"].map(labels))
    title = "What biology is kept"
    return Table("table_biology", title, data, panels, all_notes(run, notes))


def _entries(cell: Mapping[Any, Any]) -> list[Entry]:
    entries = []
    for column, ends in QUANTITIES.items():
        low, high = (cell[end] for end in ends) if ends else (np.nan, np.nan)
        entries.append(number(cell[column], 2, f" [{low:.2f} {high:.2f}]" if np.isfinite([low, high]).all() else ""))
    return entries
