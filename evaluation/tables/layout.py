"""What a table is as it is written: cells for people in panels, and data for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Entry:
    """A cell for people: the mean (bold if best), its SD, a star, and n where it isn't the row's."""

    mean: str
    spread: str = ""
    best: bool = False
    star: bool = False
    n: str = ""


@dataclass(frozen=True)
class Panel:
    """One grid of a table; a row's cells are text or entries."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | Entry]]


@dataclass(frozen=True)
class Table:
    """A table as it is written: `data` for machines, `panels` and `notes` for people."""

    name: str
    title: str
    data: pd.DataFrame
    panels: Sequence[Panel]
    notes: Sequence[str]


def pair_name(scanner_a: str, scanner_b: str) -> str:
    """A pair as the paper writes it."""
    return f"{scanner_a}-{scanner_b}"
