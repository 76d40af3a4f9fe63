"""How volumes repeat between scanners."""

from __future__ import annotations

import numpy as np

from core.names import PAPER_TISSUES
from evaluation.measures import registry
from evaluation.measures.reliability import COLUMNS as RELIABILITY_COLUMNS
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes, segmentation_note


def make(run: FinishedRun) -> Table | None:
    """How volumes repeat between scanners; None for a run without these measures."""
    found = run.table("metrics/reliability.tsv", RELIABILITY_COLUMNS)
    if found is None or found.empty:
        return None
    header = ["ICC(A,1)", "Within-person CV, %", "Within-person SD, mL", "Between-person SD, mL"]
    rows: list[list[str | Entry]] = []
    for tissue in PAPER_TISSUES:
        for arm in run.arms_in(found):
            for cell in found[(found["tissue"] == tissue) & (found["method"] == arm)].to_dict("records"):
                spread = f" [{cell['icc_low']:.2f} {cell['icc_high']:.2f}]" if np.isfinite(cell["icc_low"]) else ""
                entries = [
                    number(cell["icc"], 2, spread),
                    number(cell["within_person_cv"], 2),
                    number(cell["within_person_sd_ml"], 2),
                    number(cell["between_person_sd_ml"], 2),
                ]
                rows.append([tissue, run.label(arm), str(cell["n"]), *entries])
    title = "How volumes repeat between scanners"
    notes = [
        "n people seen by every scanner. ICC with its 95 % interval (McGraw and Wong 1996). A small within-person SD "
        "is worth nothing where the between-person SD shrinks with it.",
        *(f"{measure.label}: {measure.definition}" for measure in map(registry.find, ("icc", "within_person_cv"))),
        segmentation_note(run),
    ]
    data = found.assign(label=[run.label(arm) for arm in found["method"]])
    panel = Panel(title, ["Tissue", "Method", "n", *header], rows)
    return Table("table_reliability", title, data, [panel], all_notes(run, notes))
