"""The sheet `scans.tsv`: which scan is of whom, from which scanner, and where it lies."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from core.errors import InputError, nearest
from core.files import write_table
from core.ids import check_id, check_told_apart
from core.names import MISSING, Scale
from core.run_folder import scan_name
from core.scan_checks import check_scans
from core.study import Scan, Study
from core.tables import TextTable, as_number, is_missing, read_text_table, shown

if TYPE_CHECKING:
    import pandas as pd  # loaded where a table is asked for: it takes 0.3 s, and half of a run's jobs need none

Columns: TypeAlias = "Mapping[str, Sequence[str]] | pd.DataFrame"
"""A sheet's cells by column."""

PATHS = ("image", "mask")
REQUIRED = ("subject", "scanner", *PATHS)
SESSION = "session"
"""The column that tells several scans of a subject on a scanner apart.

Of those at time 0 the first row is the scan, others are rescans.
"""
T2 = "t2"
"""The column that names a scan's T2-weighted image, where it has one."""
TIME = "time"
"""The column that says how many years after the person's first scan a scan is from; empty is 0, more a follow-up."""
OWN = (*REQUIRED, SESSION, T2, TIME)
"""The sheet's own columns; any other is a covariate or, by its name, a path of the truth."""

LONGEST_YEARS = 100
"""A time beyond it isn't in years."""


def is_own(column: str) -> bool:
    """Whether a column's name is one of the sheet's own, or is but for its case: no covariate may be called so."""
    return column.lower() in OWN


def is_path(column: str, cell: str) -> bool:
    """Whether a cell of a sheet is a path: in `image`, `mask`, `t2` and the columns that begin with `truth_`."""
    return (column in (*PATHS, T2) or column.startswith("truth_")) and not is_missing(cell)


def moved(column: str, cell: str, old: Path, new: Path) -> str:
    """A cell of a sheet in the folder `old` for one in `new`: paths lead to the same files, other cells stay."""
    return _relative(old / cell, new) if is_path(column, cell) else cell


def _relative(file: Path, folder: Path) -> str:
    """The path from a folder to a file as the system follows it, which goes up from where a linked folder lies."""
    return os.path.relpath(os.path.join(os.path.realpath(file.parent), file.name), os.path.realpath(folder))


def check_path(cell: str, where: str) -> str:
    """Refuse a cell that should be a path and is empty, or begins with what only a shell reads."""
    if is_missing(cell):
        raise InputError(f"{where}: {shown(cell)}, and every scan needs one; name the file")
    if cell.startswith("~"):
        raise InputError(f"{where}: {shown(cell)}, of which only a shell knows the '~'; write the path in full")
    return cell


def read_rows(path: Path | str) -> pd.DataFrame:
    """Read the sheet's rows as text and check ids and duplicates, without opening an image."""
    import pandas as pd

    return pd.DataFrame(_read(path)[1].records())


def _read(path: Path | str) -> tuple[dict[str, list[str]], TextTable]:
    """The sheet's cells by column, its rows checked, and the table that they are from."""
    found = read_text_table(path)
    for column in REQUIRED:
        if column not in found.columns:
            raise InputError(
                f"{path}: no column '{column}'{nearest(column, found.columns)}; it needs {', '.join(REQUIRED)}, "
                "separated by tabs"
            )
    for column in found.columns:
        if column not in OWN and is_own(column):
            # a follow-up would be taken for a rescan, and a T2-weighted image for a word about the scan
            raise InputError(f"{found.path}: column '{column}'; write '{column.lower()}', or rename the covariate")
    if not found.rows:
        raise InputError(f"{path}: no scans; give a row a scan")
    ids = ("subject", "scanner", *([SESSION] if SESSION in found.columns else []))
    for column in found.columns:
        for place, cell in enumerate(found.column(column)):
            if column in ids:
                check_id(cell, f"{found.where(place)}, column {column}")
            elif column in PATHS or is_path(column, cell):
                check_path(cell, f"{found.where(place)}, column {column}")
    for column in ids:
        cells = found.column(column)
        check_told_apart((f"{found.where(place)}, column {column}", cell) for place, cell in enumerate(cells))
    table = {column: found.column(column) for column in found.columns}
    _check_times(table, found)
    _check_single(table, found, ids)
    return table, found


def _check_times(table: Mapping[str, Sequence[str]], found: TextTable) -> None:
    """Refuse a time that is no number of years from 0 on, and a follow-up without session or earlier scan."""
    if TIME not in table:
        return
    for place, cell in enumerate(table[TIME]):
        number = 0.0 if is_missing(cell) else as_number(cell)
        if number is not None and number > LONGEST_YEARS:
            raise InputError(
                f"{found.where(place)}, column {TIME}: {shown(cell)}, above {LONGEST_YEARS}; "
                "give years since the person's first scan, not days or months"
            )
        if number is None or number < 0:
            raise InputError(
                f"{found.where(place)}, column {TIME}: {shown(cell)}; give years since the person's first scan as 1.5, "
                "and nothing for the first scans"
            )
    years = times(table)
    first = set(itertools.compress(table["subject"], years == 0))
    at: dict[tuple[str, str], float] = {}
    for place in np.flatnonzero(years > 0).tolist():
        where, subject = found.where(place), table["subject"][place]
        if SESSION not in table:
            raise InputError(
                f"{where}: a follow-up ({TIME} {years[place]:g}), and there is no column {SESSION}; add one that names "
                "every row's session"
            )
        if subject not in first:
            raise InputError(
                f"{where}: a follow-up of subject '{subject}', who has no scan at {TIME} 0; {TIME} counts from the "
                "person's first scan: add that, or leave the person out"
            )
    for place, row in enumerate(zip(table["subject"], table.get(SESSION, ()), strict=False)):
        other = at.setdefault(row, years[place])
        if other != years[place]:
            raise InputError(
                f"{found.where(place)}: session '{row[1]}' of subject '{row[0]}' is at {TIME} {years[place]:g} here "
                f"and {other:g} in another row; give a follow-up a session of its own"
            )


def times(table: Columns) -> np.ndarray:
    """How many years after the person's first scan each row (N,) of a sheet is from; a follow-up is above 0."""
    if TIME not in table:
        return np.zeros(len(table["subject"]))
    return np.array([0.0 if is_missing(cell) else float(cell) for cell in table[TIME]])


def _check_single(table: Mapping[str, Sequence[str]], found: TextTable, ids: Sequence[str]) -> None:
    """Refuse a row of a scan that another row is of, and one whose files would have another's names."""
    scans: dict[tuple[str, ...], int] = {}
    for place, scan in enumerate(zip(*(table[column] for column in ids), strict=True)):
        if scan in scans:
            remedy = f"keep one row a scan, or add a column {SESSION}"
            if SESSION in ids:
                remedy = "name each scan's session once"
            raise InputError(
                f"{found.where(place)}: subject '{scan[0]}' on scanner '{scan[1]}' stands there a second time (first "
                f"in row {found.numbers[scans[scan]]}); {remedy}"
            )
        scans[scan] = place
    names = set()
    for place, name in enumerate(row_names(table)):
        # subject "a", scanner "b_scanner-c" and subject "a_scanner-b", scanner "c"
        if name.casefold() in names:
            raise InputError(f"{found.where(place)}: its files would have another row's names, {name}; rename it")
        names.add(name.casefold())


def followed_up(table: Columns) -> np.ndarray:
    """Which rows (N,) of a sheet are follow-ups: of another time than the person's first scans."""
    return times(table) > 0


def rescanned(table: Columns) -> np.ndarray:
    """Which rows (N,) of a sheet are rescans: not the first of their subject on their scanner, and no follow-ups."""
    seen: set[tuple[str, str]] = set()
    again = []
    for *scan, later in zip(table["subject"], table["scanner"], followed_up(table), strict=True):
        again.append(not later and tuple(scan) in seen)
        if not later:
            seen.add(tuple(scan))
    return np.array(again, dtype=bool)


def row_names(table: Columns) -> list[str]:
    """The stems of the files made from a sheet's rows, see `scan_name`."""
    again = rescanned(table) | followed_up(table)
    sessions = table[SESSION] if SESSION in table else [""] * len(again)
    rows = zip(table["subject"], table["scanner"], sessions, again, strict=True)
    return [scan_name(subject, scanner, session if later else "") for subject, scanner, session, later in rows]


def read_sheet(path: Path | str, *, scale: Scale = "none", check: bool = True, segmented: bool = False) -> Study:
    """Read and validate a sheet; paths in it are relative to it.

    With `check`, every image and mask is opened and read once, see `core.scan_checks`; `segmented` says that the
    images will be segmented as they are. Raises `InputError` naming file and row.
    """
    path = Path(path)
    table, found = _read(path)
    covariates = [column for column in found.columns if column not in OWN]
    scans = [
        Scan(
            subject=row["subject"],
            scanner=row["scanner"],
            image=path.parent / row["image"],
            mask=path.parent / row["mask"],
            covariates={column: row[column] for column in covariates},
            scale=scale,
            folder=path.parent,
            session=row.get(SESSION, ""),
            rescan=bool(again),
            time=float(time),
            t2=None if is_missing(row.get(T2, "")) else path.parent / row[T2],
            row=found.where(place),
        )
        for place, (row, again, time) in enumerate(zip(found.records(), rescanned(table), times(table), strict=True))
    ]
    first = {scan.scanner for scan in scans if not scan.time}
    for scan in scans:
        if scan.scanner not in first:
            raise InputError(
                f"{scan.row}: a follow-up on scanner '{scan.scanner}', from which there is no scan at {TIME} 0; "
                "nothing is fitted on follow-ups, so no method would know it: add scans at time 0, or leave the row out"
            )
    if check:
        check_scans(scans, positive=segmented or scale != "none")
    return Study(
        tuple(scan for scan in scans if not (scan.rescan or scan.time)),
        tuple(scan for scan in scans if scan.rescan),
        tuple(scan for scan in scans if scan.time),
    )


def write_sheet(path: Path | str, study: Study, *, absolute: bool = False) -> None:
    """Write a study's sheet, with paths relative to the folder it is written into, or in full."""
    import pandas as pd

    path = Path(path)

    def written(file: Path) -> str:
        return str(file.resolve()) if absolute else _relative(file, path.parent)

    with_sessions = any(scan.session for scan in study.every)
    with_t2 = any(scan.t2 for scan in study.every)
    rows = [
        {
            "subject": scan.subject,
            "scanner": scan.scanner,
            "image": written(scan.image),
            "mask": written(scan.mask),
            **({SESSION: scan.session} if with_sessions else {}),
            **({TIME: f"{scan.time:g}"} if study.follow_ups else {}),
            **({T2: written(scan.t2) if scan.t2 else MISSING} if with_t2 else {}),
            **{
                column: written(scan.folder / cell) if is_path(column, cell) else cell
                for column, cell in scan.covariates.items()
            },
        }
        for scan in study.every
    ]
    write_table(path, pd.DataFrame(rows))
