"""The paper's Table 2: SSIM between scanners."""

from __future__ import annotations

from evaluation.measures import registry
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import pair_cells, pair_data, pair_panel
from evaluation.tables.layout import Table
from evaluation.tables.notes import all_notes, paper_note, reading_note
from evaluation.tables.published import beside_paper, paper_numbers

ROLES = ("arm",)


def make(run: FinishedRun) -> Table:
    """The paper's Table 2: SSIM between scanners."""
    measure = registry.find("ssim")
    cells = beside_paper(
        pair_cells(run, "ssim", "ssim", measure), paper_numbers("table2_ssim", measure.better), run.published_name
    )
    title = "SSIM between scanners"
    notes = [
        reading_note(run, measure, "highest"),
        measure.definition,
        "What other definitions say stands in table2_ssim_definitions.",
        *paper_note(
            cells, "2", "There all three methods differ significantly from RAW; its SSIM settings aren't published."
        ),
    ]
    panel = pair_panel(run, cells, title=title, decimals=3, paper_decimals=2)
    return Table("table2_ssim", title, pair_data(run, cells, by_tissue=False), [panel], all_notes(run, notes))
