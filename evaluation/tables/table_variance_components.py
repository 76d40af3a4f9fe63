"""Where the variance of volumes comes from."""

from __future__ import annotations

from core.names import PAPER_TISSUES
from evaluation.measures.variance_components import COLUMNS, COMPONENTS, NEGATIVE
from evaluation.runs.finished_run import FinishedRun, text
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes, segmentation_note


def make(run: FinishedRun) -> Table | None:
    """The share of the variance of volumes by component; None for a run without these."""
    found = run.table("metrics/variance_components.tsv", COLUMNS)
    if found is None or found.empty:
        return None
    rows: list[list[str | Entry]] = []
    for tissue in PAPER_TISSUES:
        for arm in run.arms_in(found):
            part = found[(found["tissue"] == tissue) & (found["method"] == arm)]
            if part.empty:
                continue
            by_name = {cell["component"]: cell for cell in part.to_dict("records")}
            shares = [
                number(100 * cell["share"], 1, " (< 0)" if NEGATIVE in text(cell["note"]) else "")
                if (cell := by_name.get(name)) is not None
                else number(float("nan"), 1)
                for name in COMPONENTS
            ]
            total = number(part["variance_ml2"].sum() ** 0.5, 1)
            rows.append([tissue, run.label(arm), str(part["n"].iloc[0]), *shares, total])
    split = found["component"].eq("rescan").any()
    notes = [
        "Variance components of people seen by every scanner, people and scanners drawn at random, from the expected "
        "mean squares of two ways (Searle, Casella and McCulloch 1992; McGraw and Wong 1996): share of their sum. "
        "(< 0): the estimate is negative and counts as 0. Components of few people or scanners are uncertain: that of "
        f"scanners comes from {found['scanners'].max()} of them.",
        "Person x scanner is how a scanner's effect differs from person to person; rescan, how one person's scans on "
        "one scanner differ."
        + (
            "" if split else " This study has no rescans, so person x scanner holds what a rescan would differ by, too."
        ),
        segmentation_note(run, found["rule"].iloc[0]),
    ]
    title = "Where the variance of volumes comes from"
    header = ["Tissue", "Method", "n", *(f"{name.capitalize()}, %" for name in COMPONENTS), "SD of all, mL"]
    data = found.assign(label=[run.label(arm) for arm in found["method"]])
    return Table("table_variance_components", title, data, [Panel(title, header, rows)], all_notes(run, notes))
