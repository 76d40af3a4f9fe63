"""Numbers of scans beside each other, a row a pair of scans of one person, and how far two are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from core.study import Study


def side_by_side(
    table: pd.DataFrame, values: Sequence[str], pairs: Sequence[tuple[str, str]], of: str = "scanner"
) -> pd.DataFrame:
    """The `values` of two scans each, a row a pair and whatever else tells the rows of `table` apart.

    `pairs` are names in the column `of`, scanners or sessions. The result has the other columns, `<of>_a`, `<of>_b`
    and every value as `<value>_a` and `<value>_b`, pair after pair. What one scan of a pair lacks has no row.
    """
    keys = [column for column in table if column != of and column not in values]
    sides = {name: part[[*keys, *values]] for name, part in table.groupby(of, sort=False)}
    columns = [*keys, f"{of}_a", f"{of}_b", *(f"{value}_{end}" for value in values for end in ("a", "b"))]
    found = [
        sides[a].merge(sides[b], on=keys, suffixes=("_a", "_b")).assign(**{f"{of}_a": a, f"{of}_b": b})
        for a, b in pairs
        if a in sides and b in sides
    ]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def percent_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b| in percent of their mean, each (...): 0 to 200 of volumes, without a unit, the same of b and a.

    NaN where the mean isn't above 0, as of a tissue that neither scan has.
    """
    mean = (np.asarray(a, dtype=float) + b) / 2
    there = mean > 0
    return np.where(there, 100 * np.abs(a - b) / np.where(there, mean, 1), np.nan)


def with_first_scans(volumes: pd.DataFrame, again: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rescans' volumes `again`, and above them those of the same people's first scans on the same scanners."""
    if again.empty:
        return again
    first = volumes.merge(
        pd.DataFrame(
            [(scan.subject, scan.scanner, scan.session) for scan in study.scans],
            columns=["subject", "scanner", "session"],
        ),
        on=["subject", "scanner"],
    )
    first = first.merge(again[["method", "subject", "scanner"]].drop_duplicates(), on=["method", "subject", "scanner"])
    return pd.concat([first[again.columns], again], ignore_index=True)
