"""A run whose MISPEL is trained by two processes together (`fit_processes`), to its end and after one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from core.files import read_json, read_table
from tests.support.made_up_study import write_study
from tests.support.paths import ROOT
from tests.support.processes import needs_proc
from tests.support.runs import planned, snakemake, write_config

pytestmark = pytest.mark.slow

GIVEN = {"preset": "demo", "width": 4, "precision": "float32", "learning_rate": 0.0005}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A folder with scans."""
    folder = tmp_path_factory.mktemp("processes")
    write_study(folder / "own")
    return folder


def configured(folder: Path, run: str, processes: int, epochs: int = 3, **changes) -> str:
    """A run of RAW, z-scores and MISPEL."""
    methods = {"whitestripe": None, "ravel": None, "zscore": {}, "mispel": {**GIVEN, "step1_epochs": epochs}}
    return write_config(folder, run=run, fit_processes=processes, methods=methods, **changes)


def losses(run: Path) -> np.ndarray:
    """Of Step 1."""
    table = read_table(run / "models" / "mispel" / "losses.tsv")
    return table.loc[table["step"] == 1, ["reconstruction", "coupling", "total"]].to_numpy(float)


def fit_of(run: str) -> str:
    """The target that ends with MISPEL's fit."""
    return f"results/{run}/made/fit/mispel/all.json"


def test_a_run_comes_to_its_end_with_the_losses_of_one_process(study):
    """Gradients are added up in another order: float32's rounding, times what some 200 small updates make of it."""
    together, alone = study / "results" / "together", study / "results" / "alone"
    done = snakemake(study, "--configfile", configured(study, "together", 2))
    assert done.returncode == 0, done.stderr[-3000:]
    assert (together / "report.html").exists()
    model = read_json(together / "models" / "mispel" / "model.json")
    assert model["training"]["trained_on"][0].endswith(" in 2 processes")
    assert (together / "logs" / "fit" / "mispel" / "fit.log").read_text().count("step 1: 3 passes") == 1
    done = snakemake(study, fit_of("alone"), "--configfile", configured(study, "alone", 1))
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_allclose(losses(together), losses(alone), rtol=1e-3)
    # another number fits nothing anew; what tells of the configuration is made anew, as for another fit_threads
    again = snakemake(study, "-n", "--configfile", configured(study, "together", 1))
    jobs = planned(again)
    assert jobs["provenance"] == jobs["report"] == 1
    assert not {"fit", "apply", "segment", "measure", "metrics", "statistics"} & set(jobs)


@needs_proc
def test_a_killed_process_is_recorded_and_the_next_start_goes_on(study):
    run = study / "results" / "killed"
    config = configured(study, "killed", 2, epochs=40, on_failure="record")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(study)]
    started = subprocess.Popen(
        [*command, "--cores", "2", "--keep-going", "--configfile", config],
        cwd=study,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 300
    while not list(run.glob("checkpoints/mispel/**/step1-00003*")) and started.poll() is None:
        assert time.monotonic() < end, "it came to no third epoch"
        time.sleep(0.01)
    second(started.pid).send_signal(signal.SIGKILL)
    _, told = started.communicate(timeout=300)
    assert started.returncode != 0, told[-3000:]
    status = read_table(run / "status.tsv").set_index(["method", "step"])
    assert status.loc[("mispel", "fit"), "status"] == "failed"
    assert status.loc[("mispel", "fit"), "reason"].startswith("process 2 of 2 was killed (SIGKILL)")
    assert "process 2 of 2 was killed" in (run / "report.html").read_text()
    reached = max(int(path.stem.removeprefix("step1-")) for path in run.glob("checkpoints/mispel/**/step1-*"))
    assert 3 <= reached < 40
    alone = configured(study, "killed", 1, epochs=40, on_failure="record")
    done = snakemake(study, fit_of("killed"), "--configfile", alone)
    assert done.returncode == 0, done.stderr[-3000:]
    ended = read_json(run / "status" / "mispel" / "fit.json")
    assert ended["status"] == "ok"
    assert "in 2 processes so far" in ended["reason"]
    assert len(losses(run)) == 40


def second(pid: int) -> psutil.Process:
    """The second of two processes that a run has started."""
    for process in psutil.Process(pid).children(recursive=True):
        if process.environ().get("RANK") == "1":
            return process
    raise AssertionError("there is none")


def test_what_a_fit_asks_for_follows(study):
    """Of Slurm too, whose executor takes the same resources."""
    config = configured(study, "planned", 2, gpu=True, fit_threads=1)
    done = snakemake(study, "-n", "--configfile", config)
    assert planned(done)["fit"] == 3
    asked = [line for line in done.stdout.splitlines() if "resources:" in line and "processes=" in line]
    assert sorted("processes=2" in line for line in asked) == [False, False, True]
    (mispel,) = [line for line in asked if "processes=2" in line]
    assert "gpu=2" in mispel
    assert "nodes=1" in mispel
    assert "mem_mb=8000" in mispel
    refused = snakemake(study, "--configfile", configured(study, "planned", 3))
    assert refused.returncode != 0
    assert "fit_processes is 3, a core each at least, and the run has 2 (--cores)" in refused.stderr
