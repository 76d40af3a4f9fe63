"""Files are written whole or not at all."""

from __future__ import annotations

import os

import pytest

from core.errors import InputError
from core.files import write_beside, write_folder_beside, write_text


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


@pytest.mark.parametrize("place", ["file/table.tsv", "file/deep/table.tsv"])
def test_a_file_where_a_folder_is_wanted_is_named(place, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file: not a folder, so .* cannot be written; move it away"):
        write_text(tmp_path / place, "text")
    with (
        pytest.raises(InputError, match="file: not a folder, so .* cannot be written; move it away"),
        write_folder_beside(tmp_path / place),
    ):
        pytest.fail("began the work")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_and_a_folder_do_not_take_each_others_place(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: a folder; give the path of a file"):
        write_text(tmp_path / "folder", "text")
    with (
        pytest.raises(InputError, match="file: a file; give the path of a folder"),
        write_folder_beside(tmp_path / "file"),
    ):
        pytest.fail("began the work")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
