"""Similarity of scans on one scale: SSIM, and correlation, which no scale enters."""

from __future__ import annotations

import pandas as pd

from evaluation.measures import registry
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import pair_cells, pair_data, pair_panel
from evaluation.tables.layout import Table
from evaluation.tables.notes import all_notes, reading_note


def make(run: FinishedRun) -> Table:
    """Similarity of scans on one scale: SSIM, and correlation, which no scale enters."""
    panels, data = [], []
    notes = []
    for name in ("ssim", "pearson"):
        measure = registry.find(name)
        cells = pair_cells(run, "ssim", name, measure)
        panels.append(pair_panel(run, cells, title=f"{measure.label} between scanners", decimals=3))
        data.append(pair_data(run, cells, by_tissue=False).assign(measure=name))
        notes += [reading_note(run, measure, "highest", of=f"{measure.label}: "), measure.definition]
    table = pd.concat(data, ignore_index=True)
    table = table[["measure", *[column for column in table if column != "measure"]]]
    return Table("table_similarity", "Similarity of scans on one scale", table, panels, all_notes(run, notes))
