"""Volumes, and their differences between scanners, by each rule of what counts as a tissue."""

from __future__ import annotations

import pandas as pd

from core.errors import InputError
from evaluation.measures import registry
from evaluation.measures.volumes import volume_differences
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import column_data, per_subject, summarize, tissue_panel
from evaluation.tables.layout import Table
from evaluation.tables.notes import all_notes, rules_note, segmentation_note

KEYS = ["method", "subject", "scanner", "tissue"]
RULES = {
    "volume_ml_posterior": "posterior",
    "volume_ml_hard": "hard label",
    "volume_ml_pve_threshold": "partial volume",
    "volume_ml_pve": "partial-volume sum",
}


def make(run: FinishedRun) -> Table:
    """Volumes, and their differences between scanners, by each rule of what counts as a tissue."""
    volumes = run.table("metrics/volumes.tsv", [*KEYS, *RULES])
    if volumes is None or volumes.empty:
        raise InputError(f"{run.folder / 'metrics/volumes.tsv'}: no rows; no arm was segmented")
    differences = [
        volume_differences(volumes[KEYS].assign(volume_ml=volumes[column]), run.pairs).assign(column=column)
        for column in RULES
    ]
    difference = registry.find("volume_difference")
    quantities = [
        ("volume", "Volume, mL", per_subject(volumes, list(RULES)), None),
        (
            "volume_difference",
            "Mean absolute difference between scanners, mL",
            per_subject(pd.concat(differences), ["absolute_difference_ml"]),
            difference,
        ),
    ]
    panels, data = [], []
    for quantity, title, values, measure in quantities:
        cells = summarize(values, dict.fromkeys(RULES, measure))
        panels.append(tissue_panel(run, cells, title=title, columns=RULES, decimals=2))
        data.append(cells.assign(quantity=quantity))
    notes = [
        rules_note(run),
        "Mean (SD) over n subjects of each subject's mean over scanners (above) or pairs of scanners (below); "
        "bold: smallest difference of the methods, for each tissue and rule.",
        segmentation_note(run),
        "Rules: posterior above the threshold; the most probable class (hard label); partial volume of at least the "
        "threshold; the sum of partial volumes. n/a: the engine estimates no partial volumes.",
    ]
    return Table(
        "table_volume_rules", "Volumes by each rule", column_data(run, data, "rule"), panels, all_notes(run, notes)
    )
