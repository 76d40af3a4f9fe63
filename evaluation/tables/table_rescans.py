"""How alike a scanner's scan and rescan are, scanner by scanner, beside what differs between scanners."""

from __future__ import annotations

import pandas as pd

from core.names import PAPER_TISSUES
from evaluation.measures.interface import rescan_table
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes
from evaluation.verdicts.endpoints import candidates


def make(run: FinishedRun) -> Table | None:
    """Means by measure, arm and scanner; None for a run without rescans."""
    rows: list[list[str | Entry]] = []
    data = []
    for measure in candidates().values():
        again = run.table(f"metrics/{rescan_table(measure.table)}.tsv")
        between = run.table(f"metrics/{measure.table}.tsv")
        if again is None or between is None or again.empty or measure.column not in again:
            continue
        for tissue in PAPER_TISSUES if "tissue" in again else [""]:
            for arm in run.arms_in(again):
                floor, other = (
                    table[(table["method"] == arm) & ((table["tissue"] == tissue) if tissue else True)]
                    for table in (again, between)
                )
                by_scanner = floor.groupby("scanner", sort=False)[measure.column].mean().reindex(run.scanners)
                row = {
                    "measure": measure.name,
                    "tissue": tissue,
                    "method": arm,
                    "label": run.label(arm),
                    "n": floor["subject"].nunique(),
                    "between_scanners": other[measure.column].mean(),
                    "rescan": floor[measure.column].mean(),
                    **{f"rescan_{name}": value for name, value in by_scanner.items()},
                }
                data.append(row)
                decimals = 2 if measure.unit == "mL" else 3
                rows.append(
                    [
                        f"{measure.label}, {tissue}" if tissue else measure.label,
                        row["label"],
                        str(row["n"]),
                        number(row["between_scanners"], decimals),
                        number(row["rescan"], decimals),
                        *(number(value, decimals) for value in by_scanner),
                    ]
                )
    if not rows:
        return None
    notes = [
        "Between scanners: mean over people and pairs of scanners. Rescans: the same person on the same scanner again, "
        "n people, which no method can beat by knowing scanners: an arm whose scanners are more alike than RAW's "
        "rescans is smoother than a rescan. An arm's own rescans say what of that is smoothing.",
    ]
    header = ["Measure", "Method", "n", "Between scanners", "Rescans", *(f"Rescans, {name}" for name in run.scanners)]
    title = "Rescans of one scanner, beside pairs of scanners"
    return Table("table_rescans", title, pd.DataFrame(data), [Panel(title, header, rows)], all_notes(run, notes))
