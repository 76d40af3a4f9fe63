"""What the command line that started Snakemake says."""

from __future__ import annotations

import sys

import pytest

from tests.support.made_up_study import write_study
from tests.support.runs import snakemake, write_config
from workflow import start


@pytest.mark.parametrize(
    ("words", "said"),
    [([], False), (["-n"], False), (["-n", "--cores", "1"], True), (["-nc4"], True), (["-n", "--jobs", "3"], False)],
)
def test_whether_cores_are_said(words, said, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["snakemake", *words])
    start._given.cache_clear()
    try:
        assert start.says_cores() == said
    finally:
        start._given.cache_clear()


@pytest.mark.slow
def test_a_dry_run_with_fewer_cores_than_a_fit_has_processes_is_refused(tmp_path):
    write_study(tmp_path / "own")
    config = write_config(tmp_path, fit_processes=3)
    done = snakemake(tmp_path, "-n", "--configfile", config)
    assert done.returncode != 0
    assert "error: fit_processes is 3, a core each at least, and the run has 2 (--cores)" in done.stderr
