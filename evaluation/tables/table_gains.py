"""What every arm gains over RAW and over its controls, endpoint by endpoint."""

from __future__ import annotations

import pandas as pd

from core.names import MISSING
from evaluation.measures import registry
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes
from evaluation.verdicts.endpoints import endpoint_label
from evaluation.verdicts.gains import GAIN_COLUMNS

CONTROLS = {"raw": "RAW", "permuted": "permuted labels", "blur": "matched blur"}


def make(run: FinishedRun) -> Table | None:
    """Gains of the arms that compete; None for a run without."""
    gains = run.table("statistics/gains.tsv", GAIN_COLUMNS)
    if gains is None or gains.empty:
        return None
    competing = [arm in run.described and run.described[arm].competes for arm in gains["method"]]
    gains = gains[competing].reset_index(drop=True)
    panels = [
        Panel(title, HEADER, _rows(run, gains[gains["endpoint"] == endpoint]))
        for endpoint, title in (("primary", "Primary endpoint"), ("exploratory", "Exploratory"))
    ]
    notes = [
        "Gain: better is positive. [from to]: 95 % interval over people and training seeds (Satterthwaite's degrees of "
        "freedom). Permuted labels: the same method fitted after each person's scanner labels were permuted. Matched "
        "blur: RAW, blurred until it is as smooth as the arm's images. Rescan: RAW's scans against its rescans of the "
        "same scanner. Seeds' share: of the variance of the gain. Exploratory rows are uncorrected for their number.",
    ]
    data = gains.assign(label=[run.label(arm) for arm in gains["method"]])
    return Table("table_gains", "Gains beyond controls", data, panels, all_notes(run, notes))


HEADER = ["Measure", "Method", "Over", "n", "Seeds", "Value", "Control's", "Rescan", "Gain", "Seeds' share", "Answer"]


def _rows(run: FinishedRun, gains: pd.DataFrame) -> list[list[str | Entry]]:
    rows: list[list[str | Entry]] = []
    for cell in gains.to_dict("records"):
        measure = registry.find(cell["measure"])
        decimals = 2 if measure.unit == "mL" else 3
        interval = f" [{cell['gain_low']:+.{decimals}f} {cell['gain_high']:+.{decimals}f}]"
        rows.append(
            [
                endpoint_label(cell["measure"], cell["tissue"]),
                run.label(cell["method"]),
                CONTROLS[cell["control"]],
                str(cell["n"]),
                f"{cell['seeds']} and {cell['control_seeds']}",
                *(number(cell[name], decimals) for name in ("value", "control_value", "rescan")),
                number(cell["gain"], decimals, interval),
                MISSING if pd.isna(cell["seed_share"]) else f"{cell['seed_share']:.0%}",
                str(cell["answer"]),
            ]
        )
    return rows
