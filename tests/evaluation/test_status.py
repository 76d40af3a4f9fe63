"""How a step ended is recorded, carried on to later steps, and joined."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core.errors import InputError, NotApplicable
from core.files import read_json
from core.jobs.cost import ASKED, read_cost
from core.jobs.record import run_step
from evaluation.runs.status_table import join_status


def fail(error: Exception):
    def work() -> None:
        raise error

    return work


def test_ok(tmp_path):
    run_step(lambda: "cuda", status_file=tmp_path / "a" / "fit.json", method="a", step="fit")
    record = read_json(tmp_path / "a" / "fit.json")
    assert (record["status"], record["device"], record["reason"]) == ("ok", "cuda", "")
    assert record["peak_mb"] > 1


def test_a_failure_is_recorded_and_stops_what_follows(tmp_path):
    fit, apply = tmp_path / "a" / "fit.json", tmp_path / "a" / "apply.json"
    run_step(fail(RuntimeError("no luck")), status_file=fit, method="a", step="fit", on_failure="record")
    table = tmp_path / "parts" / "table.tsv"
    run_step(
        fail(AssertionError("must not run")),
        status_file=apply,
        method="a",
        step="apply",
        requires=[fit],
        placeholders=[table],
    )
    assert table.exists()
    joined = join_status(tmp_path, ["a"]).set_index("step")
    assert list(joined["status"]) == ["failed", "failed"]
    assert joined["reason"]["fit"] == "RuntimeError: no luck"
    assert joined["reason"]["apply"] == "at step fit: RuntimeError: no luck"


def test_stop_raises_and_leaves_no_record(tmp_path):
    with pytest.raises(InputError, match="wrong file"):
        run_step(fail(InputError("wrong file")), status_file=tmp_path / "fit.json", method="a", step="fit")
    assert not (tmp_path / "fit.json").exists()


def test_not_applicable_is_no_failure(tmp_path):
    status = tmp_path / "a" / "fit.json"
    run_step(fail(NotApplicable("one scanner only")), status_file=status, method="a", step="fit")
    assert read_json(status)["status"] == "not_applicable"


def test_batches_are_joined_into_one_row(tmp_path):
    for batch in ("0000", "0001"):
        work = fail(InputError("no white matter")) if batch == "0001" else lambda: None
        status = tmp_path / "a" / f"segment-{batch}.json"
        run_step(work, status_file=status, method="a", step="segment", on_failure="record")
    row = join_status(tmp_path, ["a"]).iloc[0]
    assert (row["status"], row["reason"]) == ("failed", "no white matter")


def test_a_command_says_what_it_took_where_that_is_asked_for():
    """The work of a child that has ended counts too."""
    code = (
        "import subprocess, sys; from core.jobs.command import run\n"
        "burn = 'x = bytearray(50_000_000)\\nfor n in range(3_000_000): pass'\n"
        "run(lambda: subprocess.run([sys.executable, '-c', burn]).returncode + 3)"
    )
    command = [sys.executable, "-c", code]
    plain = subprocess.run(command, capture_output=True, text=True)
    assert plain.returncode == 3
    assert read_cost(plain.stderr) is None
    asked = subprocess.run(command, capture_output=True, text=True, env={**os.environ, ASKED: "1"})
    cost = read_cost("said before\n" + asked.stderr)
    assert asked.returncode == 3
    assert cost["peak_mb"] > 55
    assert cost["cpu_s"] > 0.05
    assert cost["seconds"] > 0.05
