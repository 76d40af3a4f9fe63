"""What other studies report of scanners' differences, which this benchmark doesn't judge by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from core.names import MISSING
from evaluation.measures import registry
from evaluation.measures.interface import rescan_table
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import column_data, method_panel, per_subject, summarize, tissue_panel
from evaluation.tables.layout import Table
from evaluation.tables.notes import all_notes, segmentation_note
from evaluation.volume_rules import HARD, NAMES, PARTIAL_VOLUMES

OF_VOLUMES = ("avdp", "regional_difference_ml", "regional_difference_percent", "intracranial_share_difference")
OF_IMAGES = ("contrast_ratio", "contrast_ratio_spread", "snr", "white_matter_cv", "cjv")
OF_PAIRS = "mmd2"
TITLE = "What others report"


def make(run: FinishedRun) -> Table | None:
    """Means over people by arm; None for a run without any of these measures."""
    parts = {
        "volumes": _people(run, OF_VOLUMES),
        "rescans": _people(run, OF_VOLUMES, rescan_table),
        "images": pd.concat([_people(run, OF_IMAGES), _discrepancies(run)], ignore_index=True),
    }
    titles = {
        "volumes": "Volumes between scanners",
        "rescans": "Volumes between rescans of one scanner, the least that can be asked of pairs of scanners",
        "images": "Images",
    }
    panels, data = [], []
    for part, cells in parts.items():
        if cells.empty:
            continue
        panel = method_panel if part == "images" else tissue_panel
        there = [name for name in (*OF_VOLUMES, *OF_IMAGES, OF_PAIRS) if (cells["column"] == name).any()]
        panels.append(
            panel(run, cells, title=titles[part], columns=dict(zip(there, map(_head, there), strict=True)), decimals=2)
        )
        data.append(cells.assign(quantity=part))
    if not panels:
        return None
    shown = list(dict.fromkeys(pd.concat(data)["column"]))
    volumes = run.table("metrics/volumes.tsv", ["volume_ml_pve"])
    sums = volumes is not None and volumes["volume_ml_pve"].notna().any()
    notes = [
        "Mean (SD) over n subjects, of each subject's mean over pairs of scanners or over scanners; of MMD over pairs "
        "of scanners, n subjects on both. No arm is judged by these, and none is the best here: signal-to-noise and "
        "the CV of WM get better by a blur, and what differs between scanners where everyone is made alike.",
        *(f"{registry.find(name).label}: {registry.find(name).definition}" for name in _once(shown)),
        segmentation_note(run, NAMES[PARTIAL_VOLUMES if sums else HARD]),
    ]
    table = column_data(run, data, "measure").drop(columns="best")
    return Table("table_other_measures", TITLE, table, panels, all_notes(run, notes))


def _people(run: FinishedRun, names: Sequence[str], called: Callable[[str], str] = str) -> pd.DataFrame:
    """Measures of people's scans or pairs of scans that the run has, from the tables `called`, over people."""
    found = []
    for name in names:
        measure = registry.find(name)
        table = run.table(f"metrics/{called(measure.table)}.tsv")
        if table is not None and measure.has_numbers_in(table):
            ids = [column for column in ("method", "subject", "tissue") if column in table]
            found.append(per_subject(table[[*ids, measure.column]].rename(columns={measure.column: name}), [name]))
    return summarize(pd.concat(found, ignore_index=True), dict.fromkeys(names)) if found else pd.DataFrame()


def _discrepancies(run: FinishedRun) -> pd.DataFrame:
    """The discrepancy of features in `summarize`'s columns: mean and SD over pairs, n that of the smallest pair."""
    table = run.table(f"metrics/{registry.find(OF_PAIRS).table}.tsv", ["method", "n", OF_PAIRS])
    if table is None or table[OF_PAIRS].isna().all():
        return pd.DataFrame()
    cells = table.groupby("method", sort=False).agg(n=("n", "min"), mean=(OF_PAIRS, "mean"), sd=(OF_PAIRS, "std"))
    return cells.reset_index().assign(tissue=MISSING, column=OF_PAIRS, best="no")


def _head(name: str) -> str:
    measure = registry.find(name)
    return f"{measure.label}, {measure.unit}" if measure.unit else measure.label


def _once(names: Sequence[str]) -> list[str]:
    """The measures without those whose label another one before has: it's the same in another unit."""
    return list({registry.find(name).label: name for name in reversed(names)}.values())[::-1]
