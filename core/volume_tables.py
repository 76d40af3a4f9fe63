"""Tables of tissue volumes: a row a scan and tissue, and region where there are regions, a column a rule.

A rule of what counts as a tissue is a column that begins with `volume_ml`; what else a table holds is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import InputError
from core.files import read_table
from core.run_folder import scan_name
from core.study import Scan

if TYPE_CHECKING:
    import pandas as pd  # methods of images are fitted without it

VOLUME = "volume_ml"
REGION = "region"
IDS = ("subject", "scanner", "tissue")


def rules_of(table: pd.DataFrame) -> list[str]:
    """The columns of volumes, each by a rule of its own."""
    return [column for column in table.columns if column.startswith(VOLUME)]


def read_volumes(paths: Sequence[Path], method: str) -> pd.DataFrame:
    """Tables of volumes under each other, with each row's scan, by its stem, and which table it is from.

    These are the columns `scan` and `table`, the latter the place in `paths`.

    Of a table that has several methods' the rows of `method` are taken. Raises `InputError` for a table without the
    columns, or without rows.
    """
    import pandas as pd

    found = []
    for place, path in enumerate(paths):
        table = read_table(path)
        for column in (*IDS, VOLUME):
            if column not in table:
                raise InputError(f"{path}: no column '{column}'; give a table of volumes, such as metrics/volumes.tsv")
        if "method" in table:
            table = table[table["method"] == method]
        if table.empty:
            raise InputError(f"{path}: no volumes of '{method}'; give a table that holds them")
        found.append(table.assign(table=place))
    return with_scans(pd.concat(found, ignore_index=True))


def with_scans(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the column `scan`: the stem of the scan that a row is about.

    That of a rescan (column `rescan`) or a follow-up (`time` above 0) has its session.
    """
    import pandas as pd

    again = table["rescan"].astype(str).eq("True") if "rescan" in table else pd.Series(False, index=table.index)
    if "time" in table:
        again |= table["time"].astype(float) > 0
    sessions = table["session"].astype(str).where(again, "") if "session" in table else pd.Series("", table.index)
    names = [scan_name(*row) for row in zip(table["subject"], table["scanner"], sessions, strict=True)]
    return table.assign(scan=names)


def by_scan(table: pd.DataFrame, rule: str) -> pd.DataFrame:
    """A rule's volumes, mL: a row a scan, a column a tissue, or a region and tissue.

    Raises `InputError` for a scan that the table holds twice.
    """
    parts = [column for column in (REGION, "tissue") if column in table]
    if (doubled := table.duplicated(["scan", *parts])).any():
        raise InputError(f"the volumes hold {table['scan'][doubled].iloc[0]} twice; give each table once")
    return table.pivot(index="scan", columns=parts, values=rule)


def of_scans(wide: pd.DataFrame, scans: Sequence[Scan]) -> np.ndarray:
    """The volumes (n, v), float64, of scans from `by_scan`.

    Raises `InputError` for a scan that isn't in it, or whose volumes aren't numbers.
    """
    for scan in scans:
        if scan.name not in wide.index:
            raise InputError(f"the volumes hold no {scan.name}; give the table that it is in, or leave the scan out")
    values = wide.loc[[scan.name for scan in scans]].to_numpy(dtype=np.float64)
    for scan, row in zip(scans, values, strict=True):
        if not np.isfinite(row).all():
            raise InputError(f"the volumes of {scan.name} aren't all numbers; measure them again")
    return values


def whole_tissues(wide: pd.DataFrame) -> pd.DataFrame:
    """Volumes as `by_scan` gives them, summed over regions: a column a tissue."""
    return wide.T.groupby(level="tissue").sum().T
