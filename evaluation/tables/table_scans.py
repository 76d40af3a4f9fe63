"""The scans that stand out in their study."""

from __future__ import annotations

from evaluation.runs.finished_run import FinishedRun
from evaluation.scan_outliers import COLUMNS, FEWEST, LIMIT, LOOKED, of_run
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes


def make(run: FinishedRun) -> Table | None:
    """RAW's scans that stand out among their scanner's; None for a run without numbers of RAW."""
    found = of_run(run)
    if found is None:
        return None
    rows: list[list[str | Entry]] = [
        [
            row["subject"],
            row["scanner"],
            row["measure"],
            *(f"{row[name]:.3g}" for name in ("value", "usual")),
            f"{row['z']:+.1f}",
        ]
        for row in found.to_dict("records")
    ]
    few = min(run.scans.groupby("scanner", sort=False)["subject"].nunique()) < FEWEST
    looked = "; ".join(what.label for what in LOOKED)
    notes = [
        f"RAW's scans whose modified z-score among their scanner's scans is beyond {LIMIT:g} (Iglewicz and Hoaglin "
        f"1993); usual: the scanner's median. Looked at: {looked}. To be looked at by eye; none is left out for it.",
        f"A scanner with fewer than {FEWEST} people isn't judged." if few else "",
        "" if rows else f"None of {len(run.scans)} scans stands out.",
    ]
    panel = Panel("", ["Subject", "Scanner", "Measure", "Value", "Usual", "z"], rows)
    title = "Scans that stand out"
    return Table("table_scans", title, found[COLUMNS], [panel], all_notes(run, [note for note in notes if note]))
