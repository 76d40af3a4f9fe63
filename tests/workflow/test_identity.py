"""A finished run is what its configuration, code and inputs say: whatever isn't is noticed and made again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from core.files import read_json, read_table
from tests.support.made_up_study import write_study
from tests.support.paths import ROOT
from tests.support.runs import planned, snakemake, write_config

pytestmark = pytest.mark.slow

FEW_ARMS = {"ravel": None, "mispel": None}
ALWAYS = {"provenance", "report", "whole", "all", "total"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with a finished run of RAW, White Stripe and one program on 3 people and 3 scanners."""
    folder = tmp_path_factory.mktemp("identity")
    write_study(folder / "own")
    done = snakemake(folder, "--configfile", configured(folder))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A copy of it, with Snakemake's own notes and the times of files."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def configured(folder: Path, **changes) -> str:
    """Its configuration: with a program that copies images, and fails where a file `broken` is beside them."""
    (folder / "copies.py").write_text(
        "import csv, os, shutil, sys\n"
        "scans, out = sys.argv[1:]\n"
        "assert not os.path.exists('broken')\n"
        "for row in csv.DictReader(open(scans), delimiter='\\t'):\n"
        "    name = f\"sub-{row['subject']}_scanner-{row['scanner']}_T1w.nii.gz\"\n"
        "    shutil.copy(os.path.join(os.path.dirname(scans), row['image']), os.path.join(out, name))\n"
    )
    line = f"{sys.executable} copies.py {{scans}} {{out}}"
    program = {"method": "command", "apply": line, **changes.pop("program", {})}
    methods = {**FEW_ARMS, "program": program, **changes.pop("methods", {})}
    own = {"source": "sheet", "sheet": {"scans": "own/scans.tsv"}}
    return write_config(folder, **{"methods": methods, "study": own, "people_per_job": 2, **changes})


def check(folder: Path, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "evaluation", "check", str(folder / "results" / "small"), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def again(done: subprocess.CompletedProcess) -> set[str]:
    """The jobs of which the run says that they are to be made again."""
    return set(re.findall(r": (\S+) is to be made again", done.stderr))


def test_whatever_is_missing_or_changed_is_planned_again(copy):
    assert check(copy).returncode == 0
    assert "Nothing to be done" in snakemake(copy, "-n", "--configfile", configured(copy)).stdout
    run = copy / "results" / "small"
    gone = {
        "study/sub-01_scanner-Alpha_mask.nii.gz": "prepare/0000",
        "models/whitestripe/method.json": "fit/whitestripe/all",
        "images/program/sub-02_scanner-Alpha_T1w.nii.gz": "apply/program-0000",
        "intensities/raw.json": "intensities/raw",
        "parts/raw/intensities-0001.npz": "intensities/raw-0001",
        "segmentations/raw/sub-03_scanner-Alpha_dseg.nii.gz": "segment/raw-0001",
        "parts/whitestripe/arrays-0000.npz": "measure/whitestripe-0000",
        "metrics/dice.tsv": "metrics/all",
        "statistics/gains.tsv": "statistics/all",
        "tables/table_reliability.md": "tables/all",
        "figures/figure_summary.png": "figures/all",
        "status.tsv": "status/all",
    }
    for name in gone:
        (run / name).unlink()
    labels = run / "segmentations" / "program" / "sub-01_scanner-Alpha_dseg.nii.gz"
    labels.write_bytes(labels.read_bytes()[:-1] + b"x")
    done = snakemake(copy, "-n", "--configfile", configured(copy))
    assert again(done) == {*gone.values(), "segment/program-0000"}
    assert planned(done)["prepare"] == 1
    assert check(copy).returncode == 1
    assert "apply/program-0000: " in check(copy).stdout


def test_an_image_that_is_lost_costs_its_batch_alone(copy):
    run = copy / "results" / "small"
    lost = run / "images" / "raw" / "sub-03_scanner-Alpha_T1w.nii.gz"
    content = lost.read_bytes()
    lost.unlink()
    kept = [path for part in ("images", "models", "segmentations", "parts") for path in run.glob(f"{part}/*/*")]
    of_batch = ("images/raw/sub-03", "parts/raw/intensities-0001")
    others = {path: path.stat().st_mtime_ns for path in kept if not any(name in str(path) for name in of_batch)}
    done = snakemake(copy, "--until", "measure", "--configfile", configured(copy))
    assert done.returncode == 0, done.stderr[-3000:]
    assert lost.read_bytes() == content
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_a_flip_that_leaves_size_and_time_is_found_by_check(copy):
    path = copy / "results" / "small" / "images" / "raw" / "sub-01_scanner-Alpha_T1w.nii.gz"
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[-3] ^= 16
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert check(copy, "--quick").returncode == 0
    found = check(copy)
    assert found.returncode == 1
    assert "sub-01_scanner-Alpha_T1w.nii.gz: its content changed" in found.stdout
    assert "--forcerun" in found.stdout


def test_the_users_files_count_by_content(copy):
    def plan() -> subprocess.CompletedProcess:
        return snakemake(copy, "-n", "--configfile", configured(copy))

    sheet = copy / "own" / "scans.tsv"
    image = copy / "own" / read_table(sheet)["image"][0]
    os.utime(image)
    assert "Nothing to be done" in plan().stdout
    before = image.stat()
    loaded = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(loaded.dataobj, dtype=np.float32) ** 2, loaded.affine), image)
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns - 10**12))
    done = plan()
    assert again(done) == {"check_study/all", "prepare/0000"}
    assert planned(done)["fit"] == 3
    image.unlink()
    refused = plan()
    assert refused.returncode != 0
    assert f"{image.relative_to(copy)}: no such file" in refused.stderr


def test_an_edited_covariate_and_a_person_taken_out_count(copy):
    sheet = copy / "own" / "scans.tsv"
    lines = sheet.read_text().splitlines(keepends=True)
    sheet.write_text("".join(line for line in lines if not line.startswith("03\t")))
    taken = {"program": None}
    done = snakemake(copy, "--configfile", configured(copy, methods=taken))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "no longer in the run" in done.stderr
    run = copy / "results" / "small"
    left = [path for path in run.rglob("*") if "taken-out" not in path.parts and path.is_file()]
    assert not [path for path in left if "sub-03" in path.name or "program" in path.parts]
    assert (run / "taken-out" / "images" / "program").is_dir()
    assert set(read_table(run / "metrics" / "ssim.tsv")["method"]) == {"raw", "whitestripe"}
    assert check(copy).returncode == 0
    sheet.write_text(sheet.read_text().replace("\t65\n", "\t66\n", 1))
    assert planned(snakemake(copy, "-n", "--configfile", configured(copy, methods=taken)))["prepare"] == 1


def test_how_to_go_on_and_batches_are_inputs_of_no_fit(copy):
    changed = configured(copy, on_failure="record", people_per_job=1, fit_threads=2)
    jobs = planned(snakemake(copy, "-n", "--configfile", changed))
    assert "fit" not in jobs
    assert jobs["apply"] == jobs["segment"] == 9


def test_a_failed_refit_is_redone_by_the_same_start(copy):
    run = copy / "results" / "small"
    changed = configured(copy, program={"seed": 3}, evaluation={"bootstrap": 500})
    (copy / "broken").touch()
    failed = snakemake(copy, "--keep-going", "--configfile", changed)
    assert failed.returncode != 0
    assert not (run / "report.html").exists()
    assert not (run / "status" / "complete").exists()
    assert check(copy).returncode == 1
    (copy / "broken").unlink()
    done = snakemake(copy, "--configfile", changed)
    assert done.returncode == 0, done.stderr[-3000:]
    assert check(copy).returncode == 0
    assert read_json(run / "models" / "program" / "method.json")["seed"] == 3
    assert read_json(run / "provenance.json")["config"]["evaluation"]["bootstrap"] == 500


def test_a_recorded_failure_is_tried_again_by_the_next_start(copy):
    run = copy / "results" / "small"
    changed = configured(copy, program={"seed": 4}, on_failure="record")
    (copy / "broken").touch()
    assert snakemake(copy, "--configfile", changed).returncode != 0
    assert (run / "report.html").exists()
    assert "program failed at step apply" in check(copy).stdout
    (copy / "broken").unlink()
    done = snakemake(copy, "-n", "--configfile", changed)
    assert {job.partition("/")[0] for job in again(done)} == {"apply", "intensities", "segment", "measure"}
    assert all("/program" in job for job in again(done))


def test_a_folder_from_elsewhere_is_no_run_of_this_configuration(copy):
    # without Snakemake's own notes, as when results are copied to another checkout
    shutil.rmtree(copy / ".snakemake")
    changed = configured(copy, segmentation={"engine": "gmm", "threshold": 0.6})
    done = snakemake(copy, "--until", "segment", "--configfile", changed)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {job.partition("/")[0] for job in again(done)} >= {"segment"}
    assert ": segment " in done.stderr
