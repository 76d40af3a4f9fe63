"""Tables of text that people hand in: every cell as it stands, or a refusal with file, row and remedy.

A row is a line and a cell is what lies between two tabs. Our own, since readers of CSV take a quote that is never
closed for the beginning of a cell of many lines: pandas gives four of six rows, and says nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.paths import check_is_file

LARGEST_MB = 100
"""Half a million scans; a file beyond it is something else."""

MISSING_WORDS = frozenset({"", "n/a", "na", "#n/a", "nan", "<na>", "null"})
"""What stands for no value, in any case: BIDS's n/a and what spreadsheets and programs write for it.

`none` is not among them: somebody's diagnosis, or medication, may be none.
"""

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that nobody sees in a cell; a tab and a line break end it, wherever they stand."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
OTHER_SEPARATORS = {",": "commas", ";": "semicolons", "|": "bars", "  ": "spaces"}
LONGEST_SHOWN = 60


@dataclass(frozen=True)
class TextTable:
    """The rows of a table, their cells without the spaces around them, and which row of the file each is.

    columns : the header's names. rows : of each as many cells. numbers : 2 for the row below the header.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]

    def where(self, place: int) -> str:
        """What errors call the row at a place."""
        return f"{self.path}, row {self.numbers[place]}"

    def records(self) -> list[dict[str, str]]:
        """The rows as mappings from column to cell."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value, see `MISSING_WORDS`."""
    return cell.strip().lower() in MISSING_WORDS


def as_number(cell: str) -> float | None:
    """The finite number that a cell holds, written as 61.5, -3 or 1e-3; None where it holds none."""
    number = float(cell) if NUMBER.fullmatch(cell) else math.nan
    return number if math.isfinite(number) else None


def shown(cell: str) -> str:
    """A cell in quotes as an error shows it: what can't be seen as its code, and cut where it is long."""
    cut = cell if len(cell) <= LONGEST_SHOWN else f"{cell[:LONGEST_SHOWN]}..."
    return "'" + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut) + "'"


def read_text_table(path: Path | str) -> TextTable:
    """Read a table: UTF-8 with or without a byte order mark, tabs between cells, rows that end in LF, CRLF or CR.

    A cell that is in quotes from end to end, as spreadsheets write one that holds a comma or a quote, is what is
    between them; elsewhere a quote is a character like others. Rows without anything in them are no rows, and cells
    without anything beyond the header's last name no cells.

    Raises `InputError`, naming file, row and remedy, for whatever else: an absent, empty or over-large file, text
    that isn't UTF-8 or holds control characters, a cell that begins with a quote which doesn't end it, a row with
    other cells than the header, a header without tabs but with commas, without a name, or with one twice.
    """
    path = Path(path)
    lines = _lines(path)
    number, header = next(lines, (0, []))
    if not header:
        raise InputError(f"{path}: empty; a table needs at least its header")
    columns = _header(header, f"{path}, row {number}")
    rows, numbers = [], []
    for number, cells in lines:
        rows.append(tuple(cells) if len(cells) == len(columns) else _fitted(cells, columns, f"{path}, row {number}"))
        numbers.append(number)
    return TextTable(path, columns, tuple(rows), tuple(numbers))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that holds something, with the line's number from 1."""
    for number, line in enumerate(_text(path).split("\n"), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        if any(cells):
            if '"' in line:
                cells = [_unquoted(cell, f"{path}, row {number}") for cell in cells]
            yield number, cells


def _text(path: Path) -> str:
    """A file's text with LF at the ends of lines."""
    check_is_file(path)
    size = path.stat().st_size
    if size > LARGEST_MB * 1e6:
        raise InputError(f"{path}: {size / 1e6:.0f} MB, and a table has at most {LARGEST_MB}; is it the right file?")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); correct its permissions") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, row {row}: not text in UTF-8 ({error.reason} at byte {error.start}); save it anew as "
            "tab-separated text in UTF-8"
        ) from None
    text = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
    if found := CONTROLS.search(text):
        row = text.count("\n", 0, found.start()) + 1
        raise InputError(
            f"{path}, row {row}: a control character (U+{ord(found[0]):04X}) in a cell; remove it, or save the table "
            "anew as tab-separated text in UTF-8"
        )
    return text


def _unquoted(cell: str, where: str) -> str:
    """A cell without the quotes around it; raises `InputError` where it begins with one that doesn't end it."""
    if not cell.startswith('"'):
        return cell
    inner = cell[1:-1]
    if len(cell) < 2 or not cell.endswith('"') or '"' in inner.replace('""', ""):
        raise InputError(
            f"{where}: the cell {shown(cell)} begins with a quote that isn't closed at its end; remove the quote, or "
            "close it (a cell can hold neither a tab nor a line break, and a quote within quotes is doubled)"
        )
    return inner.replace('""', '"').strip()


def _header(cells: list[str], where: str) -> tuple[str, ...]:
    """The header's names, without cells beyond the last one; refused where they can't name columns."""
    while not cells[-1]:
        cells.pop()
    if len(cells) == 1:
        for separator, name in OTHER_SEPARATORS.items():
            if separator in cells[0]:
                raise InputError(
                    f"{where}: no tabs between the names {shown(cells[0])}, but {name}; save it as tab-separated text"
                )
    for place, name in enumerate(cells, start=1):
        if not name:
            raise InputError(f"{where}: column {place} has no name; name it, or remove the column")
        if cells.count(name) > 1:
            raise InputError(f"{where}: {cells.count(name)} columns {shown(name)}; rename or remove all but one")
    return tuple(cells)


def _fitted(cells: list[str], columns: tuple[str, ...], where: str) -> tuple[str, ...]:
    """A row of other length than the header without empty cells too many; refused where it still is of another."""
    if len(cells) > len(columns) and not any(cells[len(columns) :]):
        return tuple(cells[: len(columns)])
    remedy = (
        "remove the tab too many, or name every column"
        if len(cells) > len(columns)
        else "put a tab between all cells, and n/a where nothing is known"
    )
    raise InputError(
        f"{where}: {len(cells)} cells, beginning {shown(cells[0])}, where the header has {len(columns)}; {remedy}"
    )
