"""The steps of a scan's preprocessing, and the records of how they ended."""

from __future__ import annotations

from pathlib import Path

from core.files import read_json
from core.run_folder import StudyFolder

REGISTER, RESAMPLE = STEPS = ("register", "resample")


def outcome(folder: Path, name: str) -> str | None:
    """Why a scan's steps failed, "" where they ended well, None where they were not recorded."""
    records = [read_json(path) for which in STEPS if (path := StudyFolder(folder).record(name, which)).exists()]
    if len(records) < len(STEPS):
        return None
    return next((record["reason"] or "failed" for record in records if record["status"] != "ok"), "")
