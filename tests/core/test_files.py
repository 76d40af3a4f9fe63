"""Files are written whole or not at all."""

from __future__ import annotations

import os

import pytest

from core.errors import InputError
from core.files import write_beside, write_text


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="a device or a pipe"):
        write_text(pipe, "text")
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_stood_there_stays_where_writing_fails(tmp_path):
    path = tmp_path / "table.tsv"
    write_text(path, "before")

    def fail() -> None:
        with write_beside(path) as temporary:
            temporary.write_text("half")
            raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        fail()
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["table.tsv"]
