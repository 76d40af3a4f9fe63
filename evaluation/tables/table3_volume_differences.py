"""The paper's Table 3: absolute differences of volumes between scanners."""

from __future__ import annotations

from evaluation.measures import registry
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import pair_cells, pair_data, pair_panel
from evaluation.tables.layout import Table
from evaluation.tables.notes import all_notes, paper_note, reading_note, rules_note, segmentation_note
from evaluation.tables.published import beside_paper, paper_numbers

ROLES = ("arm",)


def make(run: FinishedRun) -> Table:
    """The paper's Table 3: absolute differences of volumes between scanners."""
    measure = registry.find("volume_difference")
    cells = beside_paper(
        pair_cells(run, "volume_differences", "absolute_difference_ml", measure),
        paper_numbers("table3_volume_differences", measure.better),
        run.published_name,
    )
    title = "Mean absolute differences of volumes between scanners, mL"
    notes = [
        reading_note(run, measure, "smallest"),
        segmentation_note(run),
        rules_note(run),
        *paper_note(cells, "3", "Its volumes are FAST's."),
    ]
    panel = pair_panel(run, cells, title=title, decimals=2, paper_decimals=2, by_tissue=True)
    data = pair_data(run, cells, by_tissue=True)
    return Table("table3_volume_differences", title, data, [panel], all_notes(run, notes))
