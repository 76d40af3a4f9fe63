"""Records of what jobs made: true until anything they tell of is another."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.jobs.made import Making, digest_of_records, read_record, reads, recorded, taken_out, why_false
from core.run_folder import RunFolder


def job(run: Path, **changes) -> Making:
    given = {"run": run, "record": Path("made/step/part.json"), "identity": "abc", "files": ["out*"], "came_from": []}
    return Making(**given | changes)


def make(run: Path, text: str = "made", **changes) -> dict:
    """Do a job that writes `out`; its record."""

    def work() -> int:
        (run / "out").write_text(text)
        return 0

    assert recorded(job(run, **changes), work) == 0
    record = read_record(RunFolder(run).made("step/part"))
    assert record is not None
    return record


def why(record: dict | None, run: Path, **changes) -> str | None:
    return why_false(record, run, "abc", lambda pattern: "", **changes)


def test_a_record_is_true_until_a_file_or_the_identity_is_another(tmp_path):
    record = make(tmp_path)
    assert why(record, tmp_path) is None
    os.utime(tmp_path / "out")
    assert why(record, tmp_path) is None
    assert "another configuration" in why_false(record, tmp_path, "def", lambda pattern: "")
    assert "others" in why(record | {"from": {"step/*": "x"}}, tmp_path)
    (tmp_path / "out").write_text("maid")
    assert "content changed" in why(record, tmp_path)
    (tmp_path / "out").unlink()
    assert "gone" in why(record, tmp_path)
    assert why(None, tmp_path) == "its record is missing or broken"


def test_a_files_same_size_and_time_hide_nothing_from_a_thorough_look(tmp_path):
    record = make(tmp_path)
    (tmp_path / "out").write_text("maid")
    os.utime(tmp_path / "out", ns=(0, record["files"]["out"]["mtime_ns"]))
    assert why(record, tmp_path) is None
    assert "content changed" in why(record, tmp_path, thorough=True)


def test_what_was_made_before_is_removed_and_a_failure_leaves_no_record(tmp_path):
    make(tmp_path)
    (tmp_path / "out2").write_text("of a version before")
    RunFolder(tmp_path).made("step/part").unlink()
    assert recorded(job(tmp_path), lambda: 1) == 1
    assert not list(tmp_path.glob("out*"))
    assert not RunFolder(tmp_path).made("step/part").exists()


def test_a_lasting_job_is_not_done_again_while_its_record_is_true(tmp_path):
    make(tmp_path, lasting=True)
    RunFolder(tmp_path).made("step/part").unlink()
    assert make(tmp_path, "other", lasting=True)["files"]
    assert (tmp_path / "out").read_text() == "made"
    # a flip that leaves size and time is no reason to leave it
    stat = (tmp_path / "out").stat()
    (tmp_path / "out").write_text("mode")
    os.utime(tmp_path / "out", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    make(tmp_path, lasting=True)
    assert (tmp_path / "out").read_text() == "made"
    make(tmp_path, "other", lasting=True, identity="def")
    assert (tmp_path / "out").read_text() == "other"


def test_an_input_that_changes_while_it_is_read_is_refused(tmp_path):
    (tmp_path / "given").write_text("a")

    def work() -> int:
        reads([tmp_path / "given"])
        (tmp_path / "given").write_text("longer")
        return 0

    with pytest.raises(InputError, match="given: changed while it was read"):
        recorded(job(tmp_path), work)
    assert not RunFolder(tmp_path).made("step/part").exists()


@given(place=st.floats(0, 1, exclude_max=True), of_record=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_noticed_wherever_it_is(place, of_record, tmp_path):
    make(tmp_path, "a result")
    record = RunFolder(tmp_path).made("step/part")
    path = record if of_record else tmp_path / "out"
    content, stat = bytearray(path.read_bytes()), path.stat()
    bit = int(place * 8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    told = "its record is missing or broken" if of_record else f"{path}: its content changed"
    assert why(read_record(record), tmp_path, thorough=True) == told


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=8), st.integers(1, 4))
def test_files_have_one_digest_however_they_are_divided(files, parts):
    entries = [(name, {"sha256": content}) for name, content in files.items()]
    divided = {str(part): {"files": dict(entries[part::parts])} for part in range(parts)}
    assert digest_of_records(divided) == digest_of_records({"all": {"files": dict(reversed(entries))}})


def test_a_job_goes_through_a_command_line(tmp_path):
    words, found = taken_out(["fit", "raw", "--made", job(tmp_path).as_option(), "--made-up", "1"])
    assert words == ["fit", "raw", "--made-up", "1"]
    assert found == job(tmp_path)
    with pytest.raises(InputError, match="--made"):
        taken_out(["fit", "--made", json.dumps({"run": "x"})])
