"""What a BIDS dataset's tables say of an image: participants.tsv, sessions.tsv and scans.tsv."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.errors import InputError
from core.names import MISSING
from core.sheet import is_own
from core.tables import read_text_table
from studies.bids.images import Image
from studies.bids.options import TABLES


@dataclass(frozen=True)
class Row:
    """A row of a table: what errors call it, and its cells by column."""

    where: str
    cells: Mapping[str, str]


def why_no_rows(folder: Path, images: Sequence[Image], table: str) -> str:
    """Why no image has a row with columns in a table."""
    for image in images:
        place, key, wanted = _row_of(folder, image, table)
        rows = _rows(str(place), place.stat().st_mtime_ns) if place.is_file() else []
        if rows and len(rows[0].cells) == 1:
            return f"{place} has no column but {key}"
        if rows:
            other = max((row.cells[key] for row in rows), key=lambda name: "T1w" in name)
            return f"{place} has no row of {wanted}, but one of '{other}', which is no image here; correct its {key}"
    return f"there is no {table}.tsv with rows for these images"


def covariates_of(folder: Path, image: Image) -> dict[str, str]:
    """What participants.tsv, sessions.tsv and scans.tsv say of an image, the later over the earlier.

    Columns whose names the sheet itself uses are left out.
    """
    found: dict[str, str] = {}
    for table in TABLES:
        found.update(read_rows_of(folder, image, table))
    return {name: value or MISSING for name, value in found.items() if not is_own(name)}


def read_rows_of(folder: Path, image: Image, table: str) -> Mapping[str, str]:
    """The cells of an image's row in a table, but for the one that names it; {} where there is none (`find_row`)."""
    return find_row(folder, image, table).cells


def find_row(folder: Path, image: Image, table: str) -> Row:
    """The row of an image in participants.tsv, its subject's sessions.tsv, or its scans.tsv.

    Without cells where there is none, and then named by the file that should have it.

    Raises `InputError` for a table without the column that BIDS wants, with two rows for one image, or with one whose
    name is nearly the image's, as a spreadsheet makes 1 of 01.
    """
    place, key, wanted = _row_of(folder, image, table)
    if not place.is_file():
        if place.is_symlink():
            raise InputError(f"{place}: a broken link; fetch its content with `git annex get` or `datalad get`")
        return Row(f"{place}, {wanted}", {})
    rows = _rows(str(place), place.stat().st_mtime_ns)
    if rows and key not in rows[0].cells:
        raise InputError(
            f"{place}: no column {key} (columns: {', '.join(rows[0].cells)}); BIDS wants it, and tabs between columns"
        )
    prefix = {"participants": "sub-", "sessions": "ses-", "scans": ""}[table]
    label = wanted.removeprefix(prefix)
    matching = [row for row in rows if label and row.cells[key].removeprefix(prefix) == label]
    if len(matching) > 1:
        raise InputError(f"{place}: {len(matching)} rows for {wanted}; keep one")
    alike = [row.cells[key] for row in rows if label and _plain(row.cells[key]) == _plain(wanted)]
    if alike and not matching:
        raise InputError(f"{place}: no row of {wanted}, but one of '{alike[0]}'; correct its {key}")
    if not matching:
        return Row(f"{place}, {wanted}", {})
    return Row(matching[0].where, {name: value for name, value in matching[0].cells.items() if name != key})


def _plain(name: str) -> str:
    """A name without what is lost easily: case, the prefix, leading zeros, the ending of a file."""
    return re.sub(r"\.nii(\.gz)?$", "", name.lower().removeprefix("sub-").removeprefix("ses-").lstrip("0"))


def _row_of(folder: Path, image: Image, table: str) -> tuple[Path, str, str]:
    """The file of a table that should have an image's row, the column that names the row, and its name there."""
    subject = f"sub-{image.subject}"
    if table == "participants":
        return folder / "participants.tsv", "participant_id", subject
    if table == "sessions":
        return folder / subject / f"{subject}_sessions.tsv", "session_id", f"ses-{image.entities.get('ses', '')}"
    inner = [part for part in image.path.parts[:-1][:2] if part.startswith(("sub-", "ses-"))]
    return (
        folder.joinpath(*inner, f"{'_'.join(inner)}_scans.tsv"),
        "filename",
        image.path.relative_to(Path(*inner)).as_posix(),
    )


@cache
def _rows(path: str, changed: int) -> list[Row]:
    """The rows of a table; none of an empty file. `changed` is when it last was, so that a new one is read anew."""
    if not Path(path).stat().st_size:
        return []
    found = read_text_table(path)
    return [Row(found.where(place), cells) for place, cells in enumerate(found.records())]
