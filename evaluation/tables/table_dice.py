"""Dice between scanners: the numbers of the paper's Figure 6."""

from __future__ import annotations

from evaluation.measures import registry
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import pair_cells, pair_data, pair_panel
from evaluation.tables.layout import Table
from evaluation.tables.notes import all_notes, reading_note, segmentation_note

ROLES = ("arm",)


def make(run: FinishedRun) -> Table:
    """Dice between scanners: the numbers of the paper's Figure 6."""
    measure = registry.find("dice")
    cells = pair_cells(run, "dice", "dice", measure)
    title = "Dice between scanners"
    notes = [reading_note(run, measure, "highest"), measure.definition, segmentation_note(run)]
    panel = pair_panel(run, cells, title=title, decimals=3, by_tissue=True)
    return Table("table_dice", title, pair_data(run, cells, by_tissue=True), [panel], all_notes(run, notes))
