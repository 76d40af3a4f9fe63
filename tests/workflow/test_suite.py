"""The studies of a release: which runs they are, by which configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from core.documents import read_document
from core.errors import InputError
from tests.support.paths import ROOT
from workflow import suite


def test_the_projects_suite_is_one_and_leaves_real_brains_out_without_their_folder():
    told = read_document(ROOT / "config" / "suite.yaml")
    without, with_brains = suite.plan(told, None), suite.plan(told, "/data/brains")
    assert [run.name for run in with_brains][:-1] == [run.name for run in without]
    assert with_brains[-1].overlays[-1] == {"run": "suite-real-anatomy", "anatomy": "/data/brains"}
    variants = [run.overlays[1]["study"]["phantom"]["variant"] for run in without]
    assert variants == ["calibrated", "noise_heavy", "contrast_heavy"]
    assert all((ROOT / file).is_file() for run in with_brains for file in run.files)


def test_a_suite_that_is_none_is_refused():
    with pytest.raises(InputError, match="unknown key 'runs'"):
        suite.plan({"out": "x", "studies": {"a": {}, "b": {}}, "runs": 1}, None)
    with pytest.raises(InputError, match="can't be a run's name"):
        suite.plan({"out": "x", "studies": {"../a": {}, "b": {}}}, None)


def test_every_study_is_started_with_its_overlays_and_one_that_fails_lets_nothing_be_merged(tmp_path, monkeypatch):
    started: list[list[str]] = []
    failing = ["b-3.yaml"]

    def run(command, **_):
        started.append(command)
        return subprocess.CompletedProcess(command, int(any(command[-1].endswith(name) for name in failing)))

    monkeypatch.setattr(suite.subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    studies = {"a": {}, "b": {"configuration": {"seed": 2}}}
    told = {"out": "results/suite", "configuration": {"seed": 1}, "studies": studies}
    Path("suite.yaml").write_text(yaml.safe_dump(told))
    assert suite.main(["suite.yaml"]) == 1
    assert len(started) == 2
    overlays = [yaml.safe_load(Path(word).read_text()) for word in started[1] if word.endswith(".yaml")]
    assert overlays == [{"seed": 1}, {"seed": 2}, {"run": "b"}]
    failing.clear()
    started.clear()
    assert suite.main(["suite.yaml"]) == 0
    assert [command[3] for command in started[2:]] == ["bundle", "bundle", "merge"]
