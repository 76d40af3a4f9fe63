"""What becomes of scans by the quality of their preprocessing: the column `status` of a study's `quality.tsv`.

Rules of the workflow import it, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Flagged = Literal["refuse", "leave_out", "keep"]
"""What is done with scans that are unfit by their quality: the study is refused, or goes on without or with them."""

Status = Literal["ok", "failed", "refused", "left_out", "kept"]

DECIDED: dict[Flagged, Status] = {"refuse": "refused", "leave_out": "left_out", "keep": "kept"}
"""The status of a scan that is unfit."""

PRESENT: tuple[Status, ...] = ("ok", "kept")
"""The status of scans that are in the study."""

WORDS: dict[Status, str] = {
    "failed": "failed",
    "refused": "is flagged",
    "left_out": "was left out",
    "kept": "was kept though flagged",
}


def sentences(quality: pd.DataFrame, *statuses: Status) -> list[str]:
    """A sentence for each scan of these statuses, from the table `quality.tsv`."""
    from core.sheet import SESSION

    return [
        f"subject {row['subject']} on {row['scanner']}"
        f"{f', session {row[SESSION]}' if row.get(SESSION) else ''} {WORDS[row['status']]}: {row['flags']}"
        for row in quality[quality["status"].isin(statuses)].to_dict("records")
    ]
