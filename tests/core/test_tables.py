"""Tables that people hand in: no row and no cell is lost or changed without a word."""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.files import read_table, write_table
from core.tables import LARGEST_MB, read_text_table

BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOSTILE = ['"', '""', '"a', 'a"', '"a"', '"a"b', "'", "n/a", " padded ", "\u00a0", "1,5", ";", "\ufeff", "\x00", "a\rb"]
cells = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.sampled_from('"ab \t\n\r,\x85\u2028é'), max_size=6), st.text(max_size=8)
)
tables = st.lists(st.lists(cells, min_size=3, max_size=3), max_size=6)
HEADER = ["one", "two", "three"]


def rows_or_refusal(path, content: str) -> list[list[str]] | None:
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    try:
        found = read_text_table(path)
    except InputError as error:
        assert str(error).startswith(str(path))
        return None
    assert list(found.columns) == HEADER
    return [list(row) for row in found.rows]


def with_content(rows: list[list[str]]) -> list[list[str]]:
    """The rows' cells without the spaces around them; those without anything in them left out."""
    stripped = [[cell.strip() for cell in row] for row in rows]
    return [row for row in stripped if any(row)]


def alone(cell: str) -> str:
    """A cell as Python's csv reads it where it is strict: it raises for quotes that don't close at its end."""
    return next(csv.reader([f"{cell}\tx"], delimiter="\t", strict=True))[0]


@BOUNDED
@example(rows=[["01", '"65', "x"], ["02", "70", "x"], ["03", '75"', "x"]])
@given(rows=tables)
def test_rows_as_somebody_types_them_come_back_or_are_refused(rows, tmp_path):
    rows = [[re.sub(r"[\t\n\r]", "", cell) for cell in row] for row in rows]
    content = "\n".join("\t".join(row) for row in [HEADER, *rows])
    found = rows_or_refusal(tmp_path / "typed.tsv", content)
    if found is not None:
        assert found == [[alone(cell).strip() for cell in row] for row in with_content(rows)]


@BOUNDED
@given(rows=tables)
def test_rows_as_a_program_quotes_them_come_back_or_are_refused(rows, tmp_path):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter="\t", lineterminator="\n").writerows([HEADER, *rows])
    found = rows_or_refusal(tmp_path / "quoted.tsv", buffer.getvalue())
    assert found is None or found == with_content(rows)


@BOUNDED
@given(rows=tables.filter(bool))
def test_a_written_table_has_a_row_a_line_and_reads_back(rows, tmp_path):
    rows = [[str(number), *row[1:]] for number, row in enumerate(rows)]
    path = tmp_path / "table.tsv"
    try:
        write_table(path, pd.DataFrame(rows, columns=["subject", "method", "label"]))
    except UnicodeEncodeError:
        return
    found = read_table(path).fillna("n/a")
    expected = [[re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", cell).strip() for cell in row] for row in rows]
    assert found.to_numpy().tolist() == expected
    assert path.read_bytes().count(b"\n") == len(rows) + 1


@pytest.mark.parametrize("change", ["BOM", "CRLF", "CR", "blank lines", "empty cells at the end", "padded"])
def test_what_editors_and_spreadsheets_make_of_a_table_is_the_table(change, tmp_path):
    rows = [["01", "GE", "a.nii"], ["02", "GE 2", ""]]
    lines = ["\t".join(row) for row in [HEADER, *rows]]
    text = "\n".join(lines) + "\n"
    path = tmp_path / "table.tsv"
    changed = {
        "BOM": "\ufeff" + text,
        "CRLF": text.replace("\n", "\r\n"),
        "CR": text.replace("\n", "\r"),
        "blank lines": "\n" + text.replace("\n", "\n  \n\t\t\n"),
        "empty cells at the end": text.replace("\n", "\t\t\n"),
        "padded": text.replace("\t", " \t\u00a0"),
    }[change]
    assert rows_or_refusal(path, changed) == rows
    path.write_text(changed + "03\tx", newline="")
    with pytest.raises(InputError, match=f"row {4 if change != 'blank lines' else 11}: 2 cells, beginning '03'"):
        read_text_table(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty; a table needs at least its header"),
        ("one\ttwo\nx\n", "row 2: 1 cells, beginning 'x', where the header has 2; put a tab"),
        ("one\ttwo\nx\ty\tz\n", "row 2: 3 cells, beginning 'x', where the header has 2; remove the tab"),
        ("one\ttwo\tone \nx\ty\tz\n", "row 1: 2 columns 'one'; rename or remove"),
        ("\tone\n0\tx\n", "row 1: column 1 has no name"),
        ("one,two\nx,y\n", "row 1: no tabs between the names 'one,two', but commas"),
        ("one;two\nx;y\n", "but semicolons"),
        ('one\ttwo\nx\t"y\nx\ty"\n', "row 2: the cell '\"y' begins with a quote"),
        ("one\ttwo\nx\ty\x00\n", r"row 2: a control character \(U\+0000\)"),
        ("one\ttwo\nx\ty\rz\tw\n", r"row 2: a control character \(U\+000D\)"),
        ("one\ttwo\nx\tKöln\n", "row 2: not text in UTF-8 .*; save it anew"),
        ("one\ttwo\nx\ty\n".encode("utf-16"), "row 1: not text in UTF-8"),
    ],
)
def test_what_is_no_table_is_refused_with_row_and_remedy(content, message, tmp_path):
    path = tmp_path / "table.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        read_text_table(path)


def test_files_that_are_too_large_folders_and_nothing_are_refused(tmp_path):
    path = tmp_path / "large.tsv"
    with open(path, "wb") as file:
        os.truncate(file.fileno(), LARGEST_MB * 1_000_001)
    with pytest.raises(InputError, match=f"100 MB, and a table has at most {LARGEST_MB}"):
        read_text_table(path)
    with pytest.raises(InputError, match="a folder; name a file in it"):
        read_text_table(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_text_table(tmp_path / "absent.tsv")


def test_a_relative_path_that_is_not_there_is_told_with_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^absent.tsv: no such file in {tmp_path}$"):
        read_text_table(Path("absent.tsv"))
    with pytest.raises(InputError, match="no such file$"):
        read_text_table(tmp_path / "absent.tsv")


def test_numbers_of_a_table_are_numbers(tmp_path):
    path = tmp_path / "table.tsv"
    for cell in ("1,5", "inf", "x"):
        path.write_text(f"method\tvalue\traw\n1\t1.5\t0\n2\tn/a\t0\n3\t{cell}\t0\n4\t2\t0\n")
        with pytest.raises(InputError, match=f"row 4: value is '{cell}'; write a number as 61.5"):
            read_table(path, numbers=["value"])
    path.write_text("method\tvalue\traw\n1\t1.5\t0\n2\tNaN\t0\n3\t\t0\n4\t2\t0\n")
    assert read_table(path, numbers=["value"])["value"].dropna().tolist() == [1.5, 2.0]
    path.write_text("method\tvalue\n1\t1.5\n2\tn/a\n3\tx\n4\t2\n")
    with pytest.raises(InputError, match="row 4: value is 'x', where 2 of 3 cells are numbers"):
        read_table(path)
    with pytest.raises(InputError, match="no column 'values' .did you mean 'value'"):
        read_table(path, columns=["values"])
