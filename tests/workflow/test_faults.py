"""Arms that raise, give nonsense, hang or are killed: recorded with the reason, and the others go on."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from baselines.harness.commands import add_apply_options, add_fit_options, fit_from, harmonize_from
from core.errors import InputError
from core.files import read_json, read_table, write_table
from core.jobs.child import Ended, in_child
from core.jobs.record import run_step
from core.run_folder import RunFolder
from evaluation.runs.finished_run import read_run
from tests.support.made_up_study import write_study
from tests.support.paths import ROOT
from tests.support.processes import is_alive, needs_proc, wait_until
from tests.support.runs import snakemake, write_config

pytestmark = pytest.mark.slow

SCRIPT = """
import csv, os, sys
import nibabel as nib, numpy as np
scans, out, fault = sys.argv[1:]
for row in csv.DictReader(open(scans), delimiter="\\t"):
    image = nib.load(os.path.join(os.path.dirname(scans), row["image"]))
    voxels = image.get_fdata(dtype=np.float32)
    if row["subject"] == "02":
        voxels = voxels * np.nan if fault == "nan" else voxels[1:]
    name = f"sub-{row['subject']}_scanner-{row['scanner']}_T1w.nii.gz"
    nib.save(nib.Nifti1Image(voxels, image.affine), f"{out}/{name}")
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> str:
    """A command line that harmonizes with a fault named at its end."""
    script = tmp_path_factory.mktemp("program") / "bad.py"
    script.write_text(SCRIPT)
    return f"{sys.executable} {script} {{scans}} {{out}}"


def apply(sheet: Path, folder: Path, line: str, *words: str, left: Sequence[str] = ()) -> dict:
    """Fit and apply a program as a run's rules do; the record of `apply`."""
    fit, harmonize = argparse.ArgumentParser(), argparse.ArgumentParser()
    add_fit_options(fit)
    add_apply_options(harmonize)
    places = ["--scans", str(sheet), "--model", str(folder / "model"), "--on-failure", "record", "--arm", "bad"]
    fit_from(fit.parse_args([*places, "--param", f"apply={line}", "--status", str(folder / "fit.json")]), "command")
    assert read_json(folder / "fit.json")["status"] == "ok"
    status = [
        "--status",
        str(folder / "apply.json"),
        "--requires",
        str(folder / "fit.json"),
        "--param",
        f"apply={line}",
    ]
    harmonize_from(harmonize.parse_args([*places, *status, "--out", str(folder / "out"), *words]), "command")
    assert [path.name for path in (folder / "out").iterdir()] == list(left), "images of people that failed are left"
    return read_json(folder / "apply.json")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("nan", r"sub-02_scanner-Alpha: gave \d+ NaN or infinite voxels"),
        ("shape", r"sub-02_scanner-Alpha_T1w.nii.gz has shape \(23, 28, 22\), sub-02_scanner-Alpha \(24, 28, 22\)"),
    ],
)
def test_nonsense_is_recorded_and_none_of_it_kept(sheet, program, tmp_path, fault, reason):
    record = apply(sheet, tmp_path, f"{program} {fault}")
    assert record["status"] == "failed"
    assert re.search(reason, record["reason"]), record["reason"]


def test_of_a_batch_that_fails_no_image_is_kept_and_of_its_arm_none_shown(sheet, program, tmp_path):
    name = "sub-01_scanner-Alpha_T1w.nii.gz"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("another batch's")
    record = apply(sheet, tmp_path, f"{program} nan", "--subjects", "02", "03", left=[name])
    assert record["status"] == "failed"
    run = RunFolder(tmp_path / "run")
    run.images("bad").parent.mkdir(parents=True)
    (tmp_path / "out").rename(run.images("bad"))
    shutil.copy(sheet, run.sheet)
    for ended, shown in (("failed", None), ("ok", run.images("bad") / name)):
        write_table(run.status, pd.DataFrame([record | {"status": ended}]))
        assert read_run(run.root).image_path("bad", "01", "Alpha") == shown


def test_a_program_that_fails_is_recorded(sheet, tmp_path):
    record = apply(sheet, tmp_path, "exit 3 # {scans} {out}")
    assert record["status"] == "failed"
    assert "ended with status 3" in record["reason"]


def test_a_killed_arm_is_recorded_with_its_memory(sheet, tmp_path):
    record = apply(sheet, tmp_path, "kill -9 $PPID; sleep 60 # {scans} {out}")
    assert record["status"] == "failed"
    assert record["peak_mb"] > 1
    assert "killed (SIGKILL)" in record["reason"]
    assert "memory" in record["reason"]


@needs_proc
def test_a_hanging_arm_is_ended_with_all_that_it_started(sheet, tmp_path):
    noted = tmp_path / "pid"
    record = apply(sheet, tmp_path, f"echo $$ > {noted}; exec sleep 600 # {{scans}} {{out}}", "--minutes", "0.1")
    assert record["status"] == "failed"
    assert "longer than 0.1 minutes (minutes_per_step)" in record["reason"]
    assert wait_until(lambda: not is_alive(int(noted.read_text())))


@needs_proc
def test_the_work_ends_with_the_command_that_was_killed(tmp_path):
    noted = tmp_path / "pid"
    code = (
        "import os, time\nfrom pathlib import Path\nfrom core.jobs.child import in_child\n"
        f"def work():\n    Path({str(noted)!r}).write_text(str(os.getpid()))\n    time.sleep(600)\n"
        "in_child(work)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    assert wait_until(lambda: noted.exists() and noted.read_text() != "")
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert wait_until(lambda: not is_alive(int(noted.read_text())))


def test_what_ends_without_a_word_is_told(capfd):
    assert in_child(lambda: {"a": 1}) == {"a": 1}
    with pytest.raises(Ended, match="exit code 7"):
        in_child(lambda: os._exit(7))
    with pytest.raises(Ended, match="longer than 0.001 minutes"):
        in_child(lambda: time.sleep(60), seconds=0.06)


def test_with_stop_a_failure_ends_the_command_and_leaves_no_record(tmp_path):
    def wrong() -> None:
        raise InputError("wrong file")

    status = tmp_path / "fit.json"
    with pytest.raises(InputError, match="wrong file"):
        run_step(wrong, status_file=status, method="a", step="fit")
    with pytest.raises(SystemExit, match="a failed at step fit: it was killed"):
        run_step(lambda: os.kill(os.getpid(), signal.SIGKILL), status_file=status, method="a", step="fit")
    assert not status.exists()


def test_a_run_goes_on_without_the_arms_that_failed(program, tmp_path):
    write_study(tmp_path / "own")
    (tmp_path / "broken.nii.gz").write_text("no image")
    methods = {
        "whitestripe": None,
        "ravel": {"engine": "gmm", "control_mask": str(tmp_path / "broken.nii.gz")},
        "mispel": None,
        "zscore": {},
        "killed": {"method": "command", "apply": "kill -9 $PPID; sleep 60 # {scans} {out}"},
        "broken": {"method": "command", "apply": f"{program} nan"},
    }
    config = write_config(tmp_path, methods=methods, on_failure="record")
    done = snakemake(tmp_path, "--configfile", config, "--keep-going")
    assert done.returncode != 0
    run = tmp_path / "results" / "small"
    status = read_table(run / "status.tsv").set_index(["method", "step"])
    told = {
        "ravel": ("fit", "broken.nii.gz: "),
        "killed": ("apply", "killed (SIGKILL)"),
        "broken": ("apply", "NaN or infinite voxels"),
    }
    page = (run / "report.html").read_text()
    for arm, (step, reason) in told.items():
        assert reason in status.loc[(arm, step), "reason"]
        assert reason in page
        assert not list((run / "images" / arm).glob("*.nii.gz"))
        later = status.loc[arm].drop(["fit", step], errors="ignore")
        assert set(later["status"]) == {"failed"}
        assert all(later["reason"].str.startswith(f"at step {step}: "))
    assert set(status.loc[["raw", "zscore"], "status"]) == {"ok"}
    for path in ("metrics/ssim.tsv", "tables/table2_ssim.tsv", "tables/table3_volume_differences.tsv"):
        assert set(read_table(run / path)["method"]) == {"raw", "zscore"}
    assert len(list((run / "figures").glob("figure[1-6]*.png"))) == 5
    said = (run / "logs" / "whole.log").read_text()
    assert "ravel failed at step fit" in said
    assert "killed failed at step apply" in said
    assert "broken failed at step apply" in said
