"""The steps of a scan's preprocessing, and the records of how they ended."""

from __future__ import annotations

from pathlib import Path

from core.files import read_json

STEPS = ("register", "resample")


def outcome(folder: Path, name: str) -> str | None:
    """Why a scan's steps failed, "" where they ended well, None where they were not recorded."""
    records = [read_json(path) for which in STEPS if (path := status_file(folder, name, which)).exists()]
    if len(records) < len(STEPS):
        return None
    return next((record["reason"] or "failed" for record in records if record["status"] != "ok"), "")


def status_file(folder: Path, name: str, which: str) -> Path:
    """Where a run records how a scan's step ended."""
    return folder / "status" / name / f"{which}.json"
