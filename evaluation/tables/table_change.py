"""Change over time: how wrong it is on one scanner and across an upgrade, and how many people see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.names import MISSING, PAPER_TISSUES
from evaluation.measures import registry
from evaluation.measures.change import SAME, UPGRADE, untold
from evaluation.power import MOST_PEOPLE, POWER, SIGNIFICANCE
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import ends, number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes, segmentation_note

TITLES = {
    SAME: "Both scans from the same scanner",
    UPGRADE: "An upgrade in between: the follow-up from another scanner",
}
HEADER = [
    "Tissue",
    "Method",
    "n",
    "Change, mL",
    "Change, %",
    "Error, mL",
    "Error, %",
    "Bias of a pair, mL",
    "SD, mL",
    "People needed",
    "False change, mL",
    "False change, %",
    "n of it",
]
TRUE = "True volumes"
UNTOLD = "not told"
COLUMNS = ["method", "tissue", "kind", "n", "rule", "people_needed", "people_needed_low", "false_n"]


def make(run: FinishedRun) -> Table | None:
    """A panel for one scanner and one for upgrades; None for a run without follow-ups."""
    found = run.table("metrics/change.tsv", COLUMNS)
    if found is None or found.empty:
        return None
    panels = [Panel(title, HEADER, rows_of(run, found[found["kind"] == kind])) for kind, title in TITLES.items()]
    without = [run.label(arm) for arm in run.arms_in(found) if not found.loc[found["method"] == arm, "n"].any()]
    years = found["years"].dropna().mean()
    notes = [
        f"n people were scanned again after {years:.3g} years. Means over people of their means over pairs of "
        "scanners; [from to]: 95 % interval over people, Student's t. Error, %: in points of the volume at the start.",
        *(f"{measure.label}: {measure.definition}" for measure in map(registry.find, ("change_error", "false_change"))),
        "Bias of a pair: size of the mean error of a pair of scanners, mean over pairs. More people don't lessen it.",
        f"People needed: by a two-sided t-test (alpha {SIGNIFICANCE:g}, power {POWER:g}), to see the mean change that "
        "the arm's scans of one scanner show, where everyone's pair of scanners is drawn by chance, whence SD. "
        f"[from to]: 95 % interval over people, by the jackknife. {UNTOLD}: fewer than three people, or more than "
        f"{MOST_PEOPLE} may be needed, since the change over its SD isn't surely above 0; at least: the lower end of "
        f"the interval. {MISSING}: more than {MOST_PEOPLE}, or the change that is shown is against the true one.",
        *([f"Not applicable: {', '.join(without)}, which gave nothing of follow-ups."] if without else []),
        segmentation_note(run, str(found["rule"].iloc[0])),
    ]
    data = found.assign(label=[run.label(arm) for arm in found["method"]])
    return Table("table_change", "Change over time, and across an upgrade", data, panels, all_notes(run, notes))


def rows_of(run: FinishedRun, found: pd.DataFrame) -> list[list[str | Entry]]:
    """The rows of one panel: by tissue the true change, where it is known, and every arm's."""
    rows: list[list[str | Entry]] = []
    for tissue in PAPER_TISSUES:
        part = found[found["tissue"] == tissue]
        known = part[part["true_change_ml"].notna()]
        if len(known):
            rows.append([tissue, TRUE, *true_entries(known.iloc[0].to_dict())])
        for arm in run.arms_in(part):
            (cell,) = part[part["method"] == arm].to_dict("records")
            rows.append([tissue, run.label(arm), *entries(cell)])
    return rows


def true_entries(cell: Mapping[Any, Any]) -> list[str | Entry]:
    """The row of the true volumes, which have a change and no error."""
    none = Entry(MISSING)
    change = number(cell["true_change_ml"], 1, ends(cell, "true_change_ml_low", "true_change_ml_high", 1))
    needed = people(cell, "true_people_needed")
    return [str(cell["n"]), change, number(cell["true_change_percent"], 2), *[none] * 4, needed, *[none] * 3]


def entries(cell: Mapping[Any, Any]) -> list[str | Entry]:
    """The row of an arm."""

    def with_ends(name: str) -> Entry:
        return number(cell[name], 1, ends(cell, f"{name}_low", f"{name}_high", 1))

    ratio = f" ({cell['people_ratio']:.1f} times)" if np.isfinite(cell["people_ratio"]) and cell["kind"] != SAME else ""
    return [
        str(cell["n"]),
        with_ends("change_ml"),
        number(cell["change_percent"], 2),
        with_ends("absolute_error_ml"),
        number(cell["absolute_error_percent"], 2),
        number(cell["pair_bias_ml"], 1),
        number(cell["change_sd_ml"], 1),
        people(cell, "people_needed", ratio),
        with_ends("false_change_ml"),
        number(cell["false_change_percent"], 2),
        str(cell["false_n"]),
    ]


def people(cell: Mapping[Any, Any], name: str, ratio: str = "") -> Entry:
    """How many people are needed, with the interval, or that it can't be told."""
    needed, low, high = (float(cell[name + end]) for end in ("", "_low", "_high"))
    if untold(needed, low, high):
        return Entry(UNTOLD, f" (at least {low:.0f})" if np.isfinite(low) else "")
    return number(needed, 0, ends(cell, f"{name}_low", f"{name}_high", 0) + ratio)
