"""Part sheets, a subject each, joined into the sheet of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core import folds, left_out
from core.covariates import Cell, read_covariate
from core.errors import InputError, nearest
from core.files import write_table
from core.ids import check_told_apart
from core.names import FIRST_SESSION, MISSING
from core.run_folder import scan_name
from core.sheet import SESSION, TIME, followed_up, moved, read_rows


def gather(
    parts: Sequence[Path],
    out: Path,
    *,
    fold_count: int | None = None,
    seed: int = 0,
    stratify: str | None = None,
    without: str | None = None,
) -> None:
    """Join part sheets, in the order given, into `out`; their paths are rewritten relative to it.

    With `fold_count`, people are divided into so many folds (column `fold`) by chance from `seed`, sharing
    the values of the covariate `stratify` alike; see `core.folds.assign_folds`. `without` is the scanner that no fit
    is to see (column `left_out`).

    Raises `InputError` for no parts, a part that is no sheet, and a scan that stands in two of them.
    """
    if not parts:
        raise InputError("no part sheets to gather; give at least one")
    tables = []
    for part in parts:
        table = read_rows(part)
        for column in table.columns:
            table[column] = [moved(column, cell, part.parent, out.parent) for cell in table[column]]
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    sessions = [SESSION] if SESSION in joined else []
    if sessions:
        # a part without rescans needs no name for its only session
        joined[SESSION] = joined[SESSION].fillna(FIRST_SESSION)
    if TIME in joined:
        joined[TIME] = joined[TIME].fillna("0")
    doubled = joined[joined.duplicated(["subject", "scanner", *sessions])]
    if len(doubled):
        row = doubled.iloc[0]
        raise InputError(
            f"{out}: subject '{row['subject']}' on scanner '{row['scanner']}' stands in two part sheets; give each once"
        )
    for column in ("subject", "scanner"):
        check_told_apart((f"{out}, column {column}", value) for value in joined[column])
    # the columns are the run's own; those that a sheet brought belong to another run
    joined = joined.drop(columns=[folds.COLUMN, left_out.COLUMN], errors="ignore")
    if fold_count is not None:
        first = joined[~followed_up(joined)]
        joined[folds.COLUMN] = joined["subject"].map(_fold_of_each(first, fold_count, seed, stratify))
    if without is not None:
        left_out.check_scanner(without, list(joined["scanner"].unique()))
        joined[left_out.COLUMN] = left_out.marks(joined["scanner"], without)
    write_table(out, joined)


def _fold_of_each(scans: pd.DataFrame, count: int, seed: int, stratify: str | None) -> dict[str, str]:
    """Each subject's fold, from the rows of a sheet."""
    strata = None
    if stratify is not None:
        if stratify not in scans.columns:
            raise InputError(f"folds.stratify: the sheet has no column '{stratify}'{nearest(stratify, scans.columns)}")
        columns = zip(scans["subject"], scans["scanner"], scans[stratify].fillna(MISSING), strict=True)
        cells = (Cell(scan_name(subject, scanner), subject, text) for subject, scanner, text in columns)
        strata = folds.strata_of(read_covariate(stratify, cells))
    return folds.assign_folds(list(scans["subject"].unique()), count, seed=seed, strata=strata)
