"""The sheet `scans.tsv`: which scan is of whom, from which scanner, and where it lies."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from core.errors import InputError
from core.files import check_is_file, write_table
from core.images import load_on_grid, to_mask
from core.names import MISSING_CELLS, Scale
from core.run_folder import alike, check_distinct, scan_name
from core.study import Scan, Study

REQUIRED = ("subject", "scanner", "image", "mask")
SESSION = "session"
"""The column that tells several scans of a subject on a scanner apart; the first row is the scan, others rescans."""
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}")


def is_path(column: str, cell: str) -> bool:
    """Whether a cell of a sheet is a path: in `image`, `mask` and the columns that begin with `truth_`."""
    return (column in ("image", "mask") or column.startswith("truth_")) and cell not in MISSING_CELLS


def moved(column: str, cell: str, old: Path, new: Path) -> str:
    """A cell of a sheet in the folder `old` for one in `new`: paths lead to the same files, other cells stay."""
    return os.path.relpath(old / cell, new) if is_path(column, cell) else cell


def check_id(value: str, where: str) -> str:
    """Refuse an id that could not be part of a file's name (slashes, shell characters, over 64 long)."""
    if not SAFE_ID.fullmatch(value) or value != value.strip():
        raise InputError(
            f"{where}: {value[:80]!r} cannot be an id; use up to 64 letters, digits, '.', '_', '+', '-' "
            "or inner spaces, beginning with a letter or digit"
        )
    return value


def read_rows(path: Path | str) -> pd.DataFrame:
    """Read the sheet's rows as text and check ids and duplicates, without opening an image."""
    path = Path(path)
    check_is_file(path)
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a tab-separated table ({str(error).strip()})") from None
    if not isinstance(table.index, pd.RangeIndex):
        # pandas takes columns without a name for an index, which would move all others by one
        raise InputError(f"{path}: its rows have more fields than its header has names; name every column")
    for column in REQUIRED:
        if column not in table.columns:
            raise InputError(f"{path}: no column '{column}'; it needs {', '.join(REQUIRED)}, separated by tabs")
    if table.empty:
        raise InputError(f"{path}: no scans; give a row a scan")
    for row, (subject, scanner) in enumerate(zip(table["subject"], table["scanner"], strict=True), start=2):
        check_id(subject, f"{path}, row {row}, column subject")
        check_id(scanner, f"{path}, row {row}, column scanner")
    has_sessions = SESSION in table.columns
    if has_sessions:
        for row, session in enumerate(table[SESSION], start=2):
            check_id(session, f"{path}, row {row}, column {SESSION}")
    doubled = table.duplicated(["subject", "scanner", *([SESSION] if has_sessions else [])])
    if doubled.any():
        row = int(np.flatnonzero(doubled)[0])
        remedy = "name each scan's session once" if has_sessions else f"keep one row a scan, or add a column {SESSION}"
        raise InputError(
            f"{path}, row {row + 2}: subject '{table['subject'][row]}' on scanner '{table['scanner'][row]}' "
            f"stands there a second time; {remedy}"
        )
    names = row_names(table)
    if doubled_name := alike(names):
        row = len(names) - 1 - names[::-1].index(doubled_name)
        # subject "a", scanner "b_scanner-c" and subject "a_scanner-b", scanner "c"
        raise InputError(f"{path}, row {row + 2}: its files would have another row's names, {names[row]}; rename it")
    check_distinct(table["subject"], table["scanner"], str(path))
    return table


def rescanned(table: pd.DataFrame) -> np.ndarray:
    """Which rows (N,) of a sheet are rescans: not the first of their subject on their scanner."""
    return table.duplicated(["subject", "scanner"]).to_numpy()


def row_names(table: pd.DataFrame) -> list[str]:
    """The stems of the files made from a sheet's rows, see `scan_name`."""
    again = rescanned(table)
    sessions = np.where(again, table[SESSION], "") if SESSION in table else np.full(len(table), "")
    return [scan_name(*ids) for ids in zip(table["subject"], table["scanner"], sessions, strict=True)]


def read_sheet(path: Path | str, *, scale: Scale = "none", check: bool = True) -> Study:
    """Read and validate a sheet; paths in it are relative to it.

    With `check`, every image and mask is opened and read once: refused are an absent or unreadable
    file, a shape or affine that differs from the first scan's, a mask that is empty or not 0/1, NaN or
    infinite voxels in the brain, and an all-constant image. Raises `InputError` naming file and row.
    """
    path = Path(path)
    table = read_rows(path)
    covariates = [column for column in table.columns if column not in (*REQUIRED, SESSION)]
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
        )
        for row, again in zip(table.to_dict("records"), rescanned(table), strict=True)
    ]
    if check:
        for number, scan in enumerate(scans, start=2):
            check_scan(scan, scans[0], f"{path}, row {number}")
    return Study(tuple(scan for scan in scans if not scan.rescan), tuple(scan for scan in scans if scan.rescan))


def check_scan(scan: Scan, first: Scan, where: str) -> None:
    """Refuse a scan that cannot be used beside `first`; `where` begins every message."""
    try:
        voxels = load_on_grid(scan.image, first.shape, first.affine, "the first scan")
        mask = to_mask(load_on_grid(scan.mask, first.shape, first.affine, "the first scan"), scan.mask)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    brain = voxels[mask]
    broken = int(np.count_nonzero(~np.isfinite(brain)))
    if broken:
        raise InputError(
            f"{where}: {scan.image} has {broken} NaN or infinite voxels in the brain; repair it or leave the row out"
        )
    if brain.min() == brain.max():
        raise InputError(
            f"{where}: {scan.image} is {brain[0]:g} everywhere in the brain; is it the right file? Leave the row out"
        )


def write_sheet(path: Path | str, study: Study, *, absolute: bool = False) -> None:
    """Write a study's sheet, with paths relative to the folder it is written into, or in full."""
    path = Path(path)

    def written(file: Path) -> str:
        return str(file.resolve()) if absolute else os.path.relpath(file, path.parent)

    with_sessions = any(scan.session for scan in study.every)
    rows = [
        {
            "subject": scan.subject,
            "scanner": scan.scanner,
            "image": written(scan.image),
            "mask": written(scan.mask),
            **({SESSION: scan.session} if with_sessions else {}),
            **{
                column: written(scan.folder / cell) if is_path(column, cell) else cell
                for column, cell in scan.covariates.items()
            },
        }
        for scan in study.every
    ]
    write_table(path, pd.DataFrame(rows))
