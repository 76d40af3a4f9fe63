"""Part sheets, a subject each, joined into the sheet of a study."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from studies.errors import InputError
from studies.files import write_table
from studies.sheet import read_rows


def gather(parts: Sequence[Path], out: Path) -> None:
    """Join part sheets, in the order given, into `out`; their paths are rewritten relative to it.

    Raises `InputError` for no parts, a part that is no sheet, and a scan that stands in two of them.
    """
    if not parts:
        raise InputError("no part sheets to gather; give at least one")
    tables = []
    for part in parts:
        table = read_rows(part)
        for column in table.columns:
            if column in ("image", "mask") or (column.startswith("truth_")):
                table[column] = [_moved(path, part.parent, out.parent) for path in table[column]]
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    doubled = joined[joined.duplicated(["subject", "scanner"])]
    if len(doubled):
        row = doubled.iloc[0]
        raise InputError(
            f"{out}: subject '{row['subject']}' on scanner '{row['scanner']}' stands in two part sheets; give each once"
        )
    write_table(out, joined)


def _moved(path: str, old: Path, new: Path) -> str:
    return path if path in ("", "n/a") else os.path.relpath(old / path, new)
