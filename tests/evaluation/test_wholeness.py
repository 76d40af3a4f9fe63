"""`check` of a small run: whatever is damaged is named, with what to run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import InputError
from core.jobs.made import Making, recorded, write_sealed
from core.run_folder import RunFolder
from evaluation.__main__ import main

JOBS = {
    "metrics/all": "metrics/dice.tsv",
    "status/all": "status.tsv",
    "fit/raw/all": "status/raw/fit.json",
    "figures/all": "figures/figure_edge.png",
}
STATUS = "method\tstep\tstatus\treason\nraw\tfit\tok\tn/a\n"


@pytest.fixture
def run(tmp_path) -> Path:
    """A run of four jobs, finished."""
    at = RunFolder(tmp_path / "run")
    for job, name in JOBS.items():
        path = at.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = {".tsv": STATUS, ".json": '{"status": "ok", "reason": ""}'}.get(path.suffix, "drawn")
        making = Making(at.root, at.made(job).relative_to(at.root), "abc", [name], [])
        assert recorded(making, lambda path=path, text=text: int(path.write_text(text) == 0)) == 0
    write_sealed(at.planned, dict.fromkeys(JOBS, "abc"))
    at.complete.touch()
    return at.root


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("a", "e"))


def longer(path: Path) -> None:
    path.write_text(path.read_text() + "\n")


def add(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")


AGAIN = "tart the run again"


@pytest.mark.parametrize(
    ("damage", "name", "told"),
    [
        (Path.unlink, "metrics/dice.tsv", f"metrics/all: .*dice.tsv: gone\n.*{AGAIN}"),
        (edit, "status.tsv", f"status/all: .*status.tsv: its content changed\n.*{AGAIN}"),
        (add, "status.tsv", f"status/all: .*status.tsv: its content changed\n.*{AGAIN}"),
        (Path.unlink, "made/fit/raw/all.json", f"fit/raw/all: its record is missing or broken\n.*{AGAIN}"),
        (edit, "made/fit/raw/all.json", f"fit/raw/all: its record is missing or broken\n.*{AGAIN}"),
        (longer, "made/fit/raw/all.json", f"fit/raw/all: its record is missing or broken\n.*{AGAIN}"),
        (Path.unlink, "made/planned.json", f"planned.json: no such file.*{AGAIN}"),
        (edit, "made/planned.json", f"planned.json: isn't as it was written.*{AGAIN}"),
        (Path.unlink, "status/complete", "complete: gone.*Start it again"),
        (add, "figures/mine.png", "mine.png: made by no job of this run\nMove away"),
        (add, "status/raw/measure-0009.json", "measure-0009.json: made by no job of this run\nMove away"),
        (add, "made/fit/other/all.json", "other/all.json: made by no job of this run\nMove away"),
    ],
)
@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_a_damaged_run_is_told_by_name_with_what_to_run(run, damage: Callable, name, told, quick, capsys):
    assert main(["check", str(run), *quick]) == 0
    assert "whole; 4 jobs" in capsys.readouterr().out
    damage(run / name)
    try:
        assert main(["check", str(run), *quick]) == 1
        said = capsys.readouterr().out
    except InputError as error:
        said = str(error)
    assert re.search(told, said), said


def test_a_papers_figures_are_no_strangers(run):
    add(run / "figures/paper/figure_edge_column.pdf")
    assert main(["check", str(run)]) == 0


def test_a_run_writes_that_it_is_complete_where_it_is(run):
    complete = RunFolder(run).complete
    complete.unlink()
    (run / "metrics" / "mine.tsv").touch()
    assert main(["check", str(run), "--complete", str(complete)]) == 1
    assert not complete.exists()
    (run / "metrics" / "mine.tsv").unlink()
    assert main(["check", str(run), "--complete", str(complete)]) == 0
    assert complete.exists()
