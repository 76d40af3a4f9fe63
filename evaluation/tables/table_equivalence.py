"""Are an arm's volumes on two scanners as alike as one scanner's own, scanned again?"""

from __future__ import annotations

import numpy as np

from core.names import PAPER_TISSUES
from evaluation.equivalence import COLUMNS, MARGIN, SIGNIFICANCE
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes, segmentation_note


def make(run: FinishedRun) -> Table | None:
    """Equivalence of differences between scanners with RAW's rescans; None for a run without rescans."""
    found = run.table("statistics/equivalence.tsv", COLUMNS)
    if found is None or found.empty:
        return None
    rows: list[list[str | Entry]] = []
    for tissue in PAPER_TISSUES:
        for arm in run.arms_in(found):
            for cell in found[(found["tissue"] == tissue) & (found["method"] == arm)].to_dict("records"):
                known = np.isfinite([cell["ratio_low"], cell["ratio_high"]]).all()
                ends = f" [{cell['ratio_low']:.2f} {cell['ratio_high']:.2f}]" if known else ""
                entries: list[str | Entry] = [
                    number(cell["difference_ml"], 2),
                    number(cell["rescan_ml"], 2),
                    number(cell["ratio"], 2, ends),
                    number(cell["p"], 3),
                    str(cell["verdict"]),
                ]
                rows.append([tissue, run.label(arm), str(cell["n"]), *entries])
    low, high = 1 - MARGIN, 1 + MARGIN
    notes = [
        f"Equivalent: the mean absolute difference of volumes between scanners is within {MARGIN:.0%} of the rescan "
        "floor, RAW's mean absolute difference between two scans of a person on one scanner: two one-sided paired "
        f"t-tests over people (Schuirmann 1987), p < {SIGNIFICANCE:g} for the larger p, uncorrected. [from to]: "
        f"Fieller's 90 % interval of their ratio, which lies between {low:g} and {high:g} just where both tests "
        "reject. Not shown isn't different: it may be too few people. A ratio below the margins is smoother than a "
        "rescan, not better.",
        segmentation_note(run, found["rule"].iloc[0]),
    ]
    title = "Differences between scanners against a rescan's"
    header = ["Tissue", "Method", "n", "Between scanners, mL", "Rescan, mL", "Ratio", "p", "Equivalent"]
    data = found.assign(label=[run.label(arm) for arm in found["method"]])
    return Table("table_equivalence", title, data, [Panel(title, header, rows)], all_notes(run, notes))
