"""What Table 2 would say by other definitions of SSIM, how far one affine map a scan can go, and correlation."""

from __future__ import annotations

import pandas as pd

from core.errors import InputError
from core.names import MISSING, RAW
from evaluation.measures import registry
from evaluation.measures.interface import Measure
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import entry, method_panel, pair_cells, pair_data, pair_panel, per_subject, summarize
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes, reading_note

DEFINITIONS = {
    "ssim": "Table 2: 3-D, in the mask",
    "ssim_own_scale": "own scale",
    "ssim_2d": "2-D, in the mask",
    "ssim_grid": "2-D, whole grid",
}
CEILING = "ssim_affine_ceiling"
CORRELATION = "pearson"
DECIMALS = 3


def make(run: FinishedRun) -> Table:
    """SSIM by all its definitions, means over pairs, with the affine ceiling; correlation by pair."""
    found = run.table("metrics/ssim.tsv", ["method", "subject", *DEFINITIONS, CEILING, CORRELATION])
    if found is None or found.empty:
        raise InputError(f"{run.folder / 'metrics/ssim.tsv'}: no rows; no arm gave results to put in a table")
    correlation = registry.find(CORRELATION)
    by_pair = pair_cells(run, "ssim", CORRELATION, correlation)
    panels = [
        _definitions(run, found),
        pair_panel(run, by_pair, title=f"{correlation.label} between scanners", decimals=DECIMALS),
    ]
    data = [
        pair_data(run, pair_cells(run, "ssim", name, registry.find(name)), by_tissue=False).assign(measure=name)
        for name in (*DEFINITIONS, CEILING)
    ]
    data.append(pair_data(run, by_pair, by_tissue=False).assign(measure=CORRELATION))
    table = pd.concat([part[part["n"] > 0] for part in data], ignore_index=True)
    table = table[["measure", *[column for column in table if column != "measure"]]]
    notes = [
        "SSIM: mean (SD) over n subjects of each subject's mean over pairs of scanners; bold: the best of the methods "
        "by that definition. Which definition the paper used isn't published; a method whose place depends on it has "
        "shown little.",
        *(f"{title}: {registry.find(name).definition}" for name, title in DEFINITIONS.items()),
        f"Affine ceiling: {registry.find(CEILING).definition}",
        reading_note(run, correlation, "highest", of=f"{correlation.label}: "),
        correlation.definition,
    ]
    title = "SSIM by other definitions, and correlation"
    return Table("table2_ssim_definitions", title, table, panels, all_notes(run, notes))


def _definitions(run: FinishedRun, found: pd.DataFrame) -> Panel:
    """Rows of methods by definitions, and below them what one affine map a scan reaches."""
    names = [*DEFINITIONS, CEILING]
    measures: dict[str, Measure | None] = {name: registry.find(name) for name in DEFINITIONS}
    cells = summarize(per_subject(found, names), {**measures, CEILING: None})
    title = "SSIM by definition, means over pairs of scanners"
    panel = method_panel(run, cells[cells["column"] != CEILING], title=title, columns=DEFINITIONS, decimals=DECIMALS)
    rows = list(panel.rows)
    for cell in cells[(cells["column"] == CEILING) & (cells["method"] == RAW)].to_dict("records"):
        others = [Entry(MISSING)] * (len(DEFINITIONS) - 1)
        rows.append([f"{run.label(RAW)}, affine ceiling", str(cell["n"]), entry(cell, DECIMALS), *others])
    return Panel(title, panel.header, rows)
