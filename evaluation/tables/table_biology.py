"""What age and diagnosis explain of the volumes."""

from __future__ import annotations

import numpy as np

from core.names import PAPER_TISSUES
from evaluation.measures import registry
from evaluation.measures.biology import COLUMNS as BIOLOGY_COLUMNS
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes, segmentation_note


def make(run: FinishedRun) -> Table | None:
    """What age and diagnosis explain of the volumes; None for a study without such covariates, or enough people."""
    found = run.table("metrics/biology.tsv", BIOLOGY_COLUMNS)
    if found is None or found.empty:
        return None
    quantities = (("effect", "_ml", 2), ("variance_explained", "", 2), ("sample_size_ratio", "", 2))
    panels = []
    for (covariate, contrast), part in found.groupby(["covariate", "contrast"], sort=False):
        rows: list[list[str | Entry]] = []
        for tissue in PAPER_TISSUES:
            for arm in run.arms_in(part):
                for cell in part[(part["tissue"] == tissue) & (part["method"] == arm)].to_dict("records"):
                    entries = []
                    for name, unit, decimals in quantities:
                        ends = [cell[f"{name}_{end}{unit}"] for end in ("low", "high")]
                        spread = f" [{ends[0]:.{decimals}f} {ends[1]:.{decimals}f}]" if np.isfinite(ends).all() else ""
                        entries.append(number(cell[f"{name}{unit}"], decimals, spread))
                    rows.append([tissue, run.label(arm), str(cell["n"]), *entries])
        header = ["Tissue", "Method", "n", f"Effect, mL, {contrast}", "Variance explained", "Sample-size ratio"]
        panels.append(Panel(str(covariate).capitalize(), header, rows))
    notes = [
        "Straight line of the volumes of all scans on the covariate, as if each person had been scanned on a scanner "
        "drawn at random; covariates one at a time. [from to]: 95 % bootstrap interval over people. With few people "
        "these intervals say more than the numbers.",
        f"Sample-size ratio: {registry.find('sample_size_ratio').definition}",
        segmentation_note(run),
    ]
    data = found.assign(label=[run.label(arm) for arm in found["method"]])
    title = "What biology is kept"
    return Table("table_biology", title, data, panels, all_notes(run, notes))
