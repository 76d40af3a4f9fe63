"""Files that are either whole or not there, and tables that read back as they were written."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, nearest
from core.names import MISSING, SCAN_IDS
from core.paths import check_is_file, check_writable

if TYPE_CHECKING:
    import pandas as pd  # loaded where a table is read: it takes 35 MB, which segmenting an image can't spare

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Control characters, of which a tab and a line break would end a cell of a table."""

UNFINISHED = re.compile(r"\.\d+-.")
LARGEST_JSON_BYTES = 100_000_000
"""The files of a public dataset of 100 000 scans take a third of it; read, they take ten times their size."""
TEXT_COLUMNS = (*SCAN_IDS, "arm", "method", "reference", "label", "learned_from")


def beside(path: Path) -> Path:
    """The hidden name, in the same folder, under which this process makes what is to be `path`."""
    return path.with_name(f".{os.getpid()}-{path.name}")


@contextlib.contextmanager
def write_beside(path: Path | str) -> Iterator[Path]:
    """A temporary path in the folder of `path`, renamed onto it when the block succeeds.

    The suffix is kept, since libraries choose a format by it. On any error the temporary file is
    removed and whatever stood under `path` stays as it was. Raises `InputError` for a device or a pipe, in whose place
    a file would come to lie, for a folder, and where no folder can be made for the file.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder; give the path of a file")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: no file but a device or a pipe; give the path of a file")
    make_folder(path.parent)
    temporary = beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None or str(error.filename) == str(temporary):
            raise OSError(error.errno, f"{path} could not be written: {error.strerror}") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def write_folder_beside(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place when the block succeeds.

    On any error it is removed and whatever stood under `folder` stays as it was. Raises `InputError` where a file
    stands there, and where no folder can be made.
    """
    unfinished = beside(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; give the path of a folder")
    shutil.rmtree(unfinished, ignore_errors=True)
    make_folder(unfinished)
    try:
        yield unfinished
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in. Raises `InputError` where a file is in the way, or may nothing be made.

    A full or read-only disk is another matter, which what was given isn't at fault for: see `is_place_trouble`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError):
        check_writable(folder)
        raise


def remove_unfinished(folder: Path | str) -> None:
    """Remove what killed processes left anywhere under `folder`: files and folders that `beside` named."""
    for path in list(Path(folder).rglob(".*-*")):
        if UNFINISHED.match(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif UNFINISHED.match(path.name):
            path.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` (UTF-8, LF) whole or not at all."""
    with write_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` as `json_text` gives it."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Indented JSON with sorted keys; NaN is refused."""
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read_json(path: Path | str) -> Any:
    """Read JSON; an absent, too large or broken file, or what is no file, is an `InputError` that names it."""
    path = Path(path)
    check_is_file(path)
    size = path.stat().st_size
    if size > LARGEST_JSON_BYTES:
        raise InputError(f"{path}: {size} bytes; at most {LARGEST_JSON_BYTES} of JSON are read: is it the right file?")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        # a ValueError too: bytes that are no UTF-8, a number of thousands of digits
        raise InputError(f"{path}: not valid JSON ({error}); make it anew") from None


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a TSV: six significant digits, `n/a` for what is missing, a row a line.

    Tabs, line breaks and other control characters within a cell become spaces.
    """
    texts = table.select_dtypes(include=["object", "str"])
    table = table.assign(**{str(name): cells.map(_in_a_line) for name, cells in texts.items()})
    with write_beside(path) as temporary:
        table.to_csv(
            temporary,
            sep="\t",
            index=False,
            na_rep=MISSING,
            float_format="%.6g",
            lineterminator="\n",
        )


def _in_a_line(cell: Any) -> Any:
    return UNSEEN.sub(" ", cell) if isinstance(cell, str) else cell


def as_written(value: float) -> float:
    """A number as `write_table` keeps it, in six significant digits."""
    return float(f"{value:.6g}")


def read_table(path: Path | str, columns: Iterable[str] = (), numbers: Iterable[str] = ()) -> pd.DataFrame:
    """Read a TSV written by `write_table`; ids stay text ("01" stays "01"), only `n/a` is missing.

    Raises `InputError` for what `core.tables.read_text_table` refuses, where a column of `columns` or `numbers` is
    missing, for a cell of `numbers` that is no finite number, and for a word in any other column of numbers.
    """
    import pandas as pd

    from core.tables import as_number, is_missing, read_text_table, shown

    found = read_text_table(path)
    numbers = list(numbers)
    for column in (*columns, *numbers):
        if column not in found.columns:
            raise InputError(f"{path}: no column '{column}'{nearest(column, found.columns)}")
    missing = {column: list(filter(is_missing, found.column(column))) for column in numbers}
    for column in numbers:
        for place, cell in enumerate(found.column(column)):
            if not is_missing(cell) and as_number(cell) is None:
                raise InputError(
                    f"{found.where(place)}: {column} is {shown(cell)}; write a number as 61.5, and n/a where it isn't "
                    "known"
                )
    lines = ["\t".join(row) for row in (found.columns, *found.rows)]
    table = pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep="\t",
        dtype=dict.fromkeys(TEXT_COLUMNS, str),
        na_values={name: missing.get(name, [MISSING]) for name in found.columns},
        keep_default_na=False,
        quoting=csv.QUOTE_NONE,
        skip_blank_lines=False,
    )
    for column in table.columns.difference(list(TEXT_COLUMNS)):
        if pd.api.types.is_string_dtype(table[column]):
            known = table[column].dropna()
            words = known[pd.to_numeric(known, errors="coerce").isna()]
            if 0 < len(words) < len(known) / 2:
                place = int(words.index[0])
                raise InputError(
                    f"{found.where(place)}: {column} is {shown(words.iloc[0])}, where {len(known) - len(words)} of "
                    f"{len(known)} cells are numbers; write a number as 61.5, and n/a where it isn't known"
                )
    return table


def stamp(path: Path | str) -> tuple[int, ...]:
    """What changes when a file is written anew: its place on the disk, size and time; empty for an absent one."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def checksum(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
