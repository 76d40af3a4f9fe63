"""How every arm's steps ended: one table from the records that the steps left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.errors import InputError
from core.files import read_json
from core.names import ARM_STEPS, WORST_FIRST

COLUMNS = ["method", "step", "status", "reason", "seconds", "peak_mb", "device"]


def join_status(folder: Path, arms: Sequence[str]) -> pd.DataFrame:
    """A row a method and step from `folder/<method>/<step>.json`, or `<step>-<batch>.json`.

    Of the batches of a step the worst status counts, with its reasons; seconds add up, memory is the most
    that any one took. Raises `InputError` where an arm left no record.
    """
    rows = []
    for arm in arms:
        records: dict[str, list[dict]] = {}
        for path in sorted((folder / arm).glob("*.json")):
            records.setdefault(path.stem.partition("-")[0], []).append(read_json(path))
        if not records:
            raise InputError(f"{folder / arm}: no records; run the arm's steps")
        place = {step: number for number, step in enumerate(ARM_STEPS)}
        for step in sorted(records, key=lambda step: (place.get(step, len(place)), step)):
            rows.append(join_batches(records[step]))
    return pd.DataFrame(rows, columns=COLUMNS)


def join_batches(records: Sequence[dict]) -> dict:
    """One record from those of a step's batches."""
    worst = min(records, key=lambda record: WORST_FIRST.index(record["status"]))
    told = [record["reason"] for record in records if record["status"] == worst["status"] and record["reason"]]
    return {
        "method": worst["method"],
        "step": worst["step"],
        "status": worst["status"],
        "reason": "; ".join(dict.fromkeys(told)) or None,
        "seconds": sum(record["seconds"] for record in records),
        "peak_mb": max(record["peak_mb"] for record in records),
        "device": ", ".join(dict.fromkeys(record["device"] for record in records)),
    }


def failures(status: pd.DataFrame) -> list[str]:
    """A sentence for each method that failed, at the first step that did."""
    failed = status[status["status"] == "failed"].drop_duplicates("method")
    return [f"{row['method']} failed at step {row['step']}: {row['reason']}" for row in failed.to_dict("records")]
