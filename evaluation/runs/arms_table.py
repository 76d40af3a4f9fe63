"""What a run's arms are, as its file `arms.tsv` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.files import read_table
from core.run_folder import RunFolder


@dataclass(frozen=True)
class Arm:
    """An arm: its id, its method's, what a person calls it, whose it is, what it can't do, whether a control."""

    id: str
    method: str
    label: str
    citation: str
    limits: str
    control: bool


def read_arms(run: Path) -> dict[str, Arm]:
    """The arms of a run by id, in order; none where the run doesn't say.

    Raises `InputError` for a table without a column.
    """
    path = RunFolder(run).arms
    if not path.is_file():
        return {}
    table = read_table(path)
    for column in ("arm", "method", "label", "citation", "limits", "control"):
        if column not in table:
            raise InputError(f"{path}: no column '{column}'; start the run again to have it made anew")
    return {
        row["arm"]: Arm(
            id=row["arm"],
            method=row["method"],
            label=row["label"],
            citation=row["citation"],
            limits=row["limits"],
            control=row["control"] == "yes",
        )
        for row in table.to_dict("records")
    }
