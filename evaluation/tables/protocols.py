"""Protocols side by side: a study judged on what it was fitted on, on people held out, and on a scanner left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.errors import InputError
from core.names import MISSING, PAPER_TISSUES
from evaluation.measures import registry
from evaluation.measures.interface import Measure
from evaluation.runs.finished_run import FinishedRun, read_run
from evaluation.tables.cells import entry, pair_cells, row_entries, summarize
from evaluation.tables.layout import Entry, Panel, Table, pair_name
from evaluation.tables.notes import SIMULATED
from evaluation.tables.writing import write

MEASURES = {
    # measure: its table in metrics/, the table's column, whether it is by tissue, decimals
    "ssim": ("ssim", "ssim", False, 3),
    "volume_difference_pve": ("volume_differences", "absolute_difference_ml_pve", True, 2),
    "dice": ("dice", "dice", True, 3),
}


def table_protocols(runs: Sequence[FinishedRun]) -> Table:
    """A row a method and protocol: the mean over pairs of scanners of each measure, then each pair.

    Raises `InputError` where the runs aren't of the same scans, or their protocols don't differ.
    """
    first = runs[0]
    for run in runs[1:]:
        if set(_scans(run)) != set(_scans(first)):
            raise InputError(
                f"{run.folder / 'scans.tsv'}: other subjects or scanners than in {first.folder / 'scans.tsv'}; "
                "give runs of one study"
            )
    protocols = [run.protocol for run in runs]
    if len(set(protocols)) < len(protocols):
        raise InputError(
            f"{', '.join(str(run.folder) for run in runs)}: all are {protocols[0]}; give a run of each protocol, "
            "such as results/demo and results/heldout"
        )
    panels, data = [_overview(runs)], []
    for name, (file, column, by_tissue, decimals) in MEASURES.items():
        measure = registry.find(name)
        cells = [pair_cells(run, file, column, measure) for run in runs]
        panels.append(_by_pair(runs, cells, title=f"{_name(measure)}, by pair", decimals=decimals, by_tissue=by_tissue))
        for run, part in zip(runs, cells, strict=True):
            labels = [run.label(arm) for arm in part["method"]]
            data.append(part.assign(measure=name, protocol=run.protocol, label=labels, pair=part["column"]))
    columns = ["measure", "tissue", "method", "label", "protocol", "pair", "n", "mean", "sd", "best", "significant"]
    notes = [
        "Mean (SD) over n subjects; bold: best of the methods under that protocol; *: better than RAW under that "
        "protocol (two-sided paired t-test over subjects, p < 0.05 uncorrected).",
        "Transductive: every arm was fitted on the scans it is judged on. Held out: everyone's images, and the ranges "
        "by which they are judged, come from fits without that person.",
        *[
            f"Without {run.left_out}: no fit saw that scanner; means are over its pairs."
            for run in runs
            if run.left_out
        ],
        *[note for run in runs for note in run.setback_notes()],
    ]
    title = "Protocols side by side"
    if any(run.simulated for run in runs):
        notes.insert(0, SIMULATED)
        title += " (simulated)"
    return Table("table_protocols", title, pd.concat(data, ignore_index=True)[columns], panels, notes)


def _name(measure: Measure) -> str:
    """A measure's label with its unit, where it has one."""
    return f"{measure.label}, {measure.unit}" if measure.unit not in ("", "1") else measure.label


def _scans(run: FinishedRun) -> zip:
    return zip(run.scans["subject"], run.scans["scanner"], strict=True)


def _overview(runs: Sequence[FinishedRun]) -> Panel:
    """Rows of methods and protocols by measures and tissues."""
    header = ["Method", "Protocol", "n"]
    people: dict[tuple[int, str], str] = {}
    cells: dict[tuple[int, str, str], Entry] = {}
    for name, (file, column, by_tissue, decimals) in MEASURES.items():
        measure = registry.find(name)
        for tissue in PAPER_TISSUES if by_tissue else (None,):
            header.append(f"{_name(measure)}, {tissue}" if tissue else _name(measure))
            for place, run in enumerate(runs):
                tissues = ["tissue"] if by_tissue else []
                table = run.table(f"metrics/{file}.tsv", ["method", "subject", *tissues, column])
                if table is None:
                    continue
                part = table if tissue is None else table[table["tissue"] == tissue]
                means = part.groupby(["method", "subject"], sort=False)[column].mean().rename("value").reset_index()
                found = summarize(means.assign(tissue=MISSING, column=column), {column: measure})
                for cell in found.to_dict("records"):
                    people.setdefault((place, cell["method"]), str(cell["n"]))
                    cells[place, cell["method"], header[-1]] = entry(cell, decimals)
    # an arm of volumes has no number of images
    rows: list[list[str | Entry]] = [
        [
            run.label(arm),
            run.protocol,
            people[place, arm],
            *(cells.get((place, arm, title), Entry(MISSING)) for title in header[3:]),
        ]
        for arm in _arms(runs)
        for place, run in enumerate(runs)
        if (place, arm) in people
    ]
    return Panel("Means over pairs of scanners", header, rows)


def _by_pair(
    runs: Sequence[FinishedRun], cells: Sequence[pd.DataFrame], *, title: str, decimals: int, by_tissue: bool
) -> Panel:
    """Rows of methods and protocols, under each tissue if any, by pairs of scanners."""
    pairs = list(dict.fromkeys(pair_name(*pair) for run in runs for pair in run.pairs))
    rows = []
    for tissue in PAPER_TISSUES if by_tissue else (MISSING,):
        for arm in _arms(runs):
            for run, table in zip(runs, cells, strict=True):
                row = table[(table["tissue"] == tissue) & (table["method"] == arm)]
                if not row.empty:
                    heads = [tissue] if by_tissue else []
                    rows.append([*heads, run.label(arm), run.protocol, *row_entries(row, pairs, decimals)])
    heads = ["Tissue"] if by_tissue else []
    return Panel(title, [*heads, "Method", "Protocol", "n", *pairs], rows)


def _arms(runs: Sequence[FinishedRun]) -> list[str]:
    return list(dict.fromkeys(arm for run in runs for arm in run.arms))


def write_protocols(folders: Sequence[Path]) -> list[Path]:
    """Write the table into `tables` of the last run whose fits didn't see everything; returns what was written."""
    runs = [read_run(folder) for folder in folders]
    table = table_protocols(runs)
    withheld = [run for run in runs if run.folds or run.left_out]
    return write(table, withheld[-1].files.tables)
