"""Measures by hand, the comparison of two runs, and how the steps' records become one table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from benchmarks import startup
from core.errors import InputError
from core.files import read_json, read_table, write_json, write_table, write_text
from core.images import load_image, save_image, save_labels
from evaluation.__main__ import main
from evaluation.measures.similarity import ssim
from evaluation.runs.comparison import compare
from evaluation.runs.status_table import failures, join_status
from tests.support.example_run import write_example_run

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture
def files(tmp_path) -> Path:
    """Two label images, two images, a mask and true fractions, on one grid of 2 mm."""
    rng = np.random.default_rng(0)
    shape = (24, 24, 24)
    labels = rng.integers(0, 4, (2, *shape)).astype(np.uint8)
    mask = labels[0] > 0
    for name, array in zip("ab", labels, strict=True):
        save_labels(tmp_path / f"labels_{name}.nii.gz", array, AFFINE)
        save_image(tmp_path / f"{name}.nii.gz", array * 400.0 + rng.random(shape) * 50, AFFINE)
    save_labels(tmp_path / "mask.nii.gz", mask, AFFINE)
    fractions = np.stack([labels[1] == tissue for tissue in (1, 2, 3)], axis=-1).astype(np.float32)
    nib.save(nib.Nifti1Image(fractions, AFFINE), tmp_path / "fractions.nii.gz")
    return tmp_path


def printed(capsys, *words: object) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def by_tissue(text: str) -> dict[str, float]:
    return {tissue: float(value) for tissue, value in (line.split("\t") for line in text.splitlines()[1:])}


def test_each_measure_by_hand(files, capsys):
    a, b, mask = (load_image(files / f"{name}.nii.gz")[0] for name in ("a", "b", "mask"))
    labels = [load_image(files / f"labels_{name}.nii.gz")[0] for name in "ab"]
    shown = printed(
        capsys, "ssim", files / "a.nii.gz", files / "b.nii.gz", "--mask", files / "mask.nii.gz", "--data-range", 1200
    )
    assert float(shown) == pytest.approx(ssim(a, b, mask > 0, data_range=1200), rel=1e-5)
    shown = printed(capsys, "pearson", files / "a.nii.gz", files / "b.nii.gz", "--mask", files / "mask.nii.gz")
    assert float(shown) == pytest.approx(np.corrcoef(a[mask > 0], b[mask > 0])[0, 1], rel=1e-5)
    pair = (files / "labels_a.nii.gz", files / "labels_b.nii.gz")
    found = by_tissue(printed(capsys, "dice", *pair))
    gm = [array == 2 for array in labels]
    assert found["GM"] == pytest.approx(2 * (gm[0] & gm[1]).sum() / (gm[0].sum() + gm[1].sum()), rel=1e-5)
    volumes = [by_tissue(printed(capsys, "volumes", path)) for path in pair]
    assert volumes[0]["WM"] == pytest.approx((labels[0] == 3).sum() * 0.008, rel=1e-5)
    difference = by_tissue(printed(capsys, "volume-difference", *pair))
    error = by_tissue(printed(capsys, "volume-error", pair[0], "--fractions", files / "fractions.nii.gz"))
    for tissue in ("CSF", "GM", "WM"):
        assert difference[tissue] == error[tissue] == pytest.approx(volumes[0][tissue] - volumes[1][tissue], abs=1e-3)


def test_dice_of_nothing_is_not_applicable(files, capsys):
    save_labels(files / "none.nii.gz", np.zeros((24, 24, 24)), AFFINE)
    assert "CSF\tn/a" in printed(capsys, "dice", files / "none.nii.gz", files / "none.nii.gz")


def test_an_image_is_segmented_by_hand(files):
    image = ["--image", str(files / "a.nii.gz"), "--mask", str(files / "mask.nii.gz"), "--engine", "gmm"]
    out, posteriors = files / "out.nii.gz", files / "posteriors.nii.gz"
    main(["segment", *image, "--out", str(out), "--posteriors", str(posteriors)])
    found, true = load_image(out)[0], load_image(files / "labels_a.nii.gz")[0]
    np.testing.assert_array_equal(found, true)
    assert nib.load(posteriors).shape == (24, 24, 24, 3)
    with pytest.raises(InputError, match="gmm estimates no bias field"):
        main(["segment", *image, "--out", str(files / "new.nii.gz"), "--bias", str(files / "bias.nii.gz")])
    assert not (files / "new.nii.gz").exists()


def test_files_that_do_not_belong_together_are_refused(files):
    save_image(files / "small.nii.gz", np.ones((3, 3, 3)), AFFINE)
    with pytest.raises(InputError, match=r"small.nii.gz has shape \(3, 3, 3\)"):
        main(["pearson", str(files / "a.nii.gz"), str(files / "small.nii.gz"), "--mask", str(files / "mask.nii.gz")])
    with pytest.raises(InputError, match="a.nii.gz: holds .*; labels are 0 none"):
        main(["volumes", str(files / "a.nii.gz")])
    shifted = AFFINE.copy()
    shifted[0, 3] = 5
    save_labels(files / "shifted.nii.gz", np.ones((24, 24, 24)), shifted)
    with pytest.raises(InputError, match="shifted.nii.gz: .*affine"):
        main(["dice", str(files / "labels_a.nii.gz"), str(files / "shifted.nii.gz")])


def test_rmse_by_hand_is_that_of_the_run(tmp_path, capsys):
    run = write_example_run(tmp_path, subjects=4, scanners=("A", "B"), methods=("raw",))
    shown = printed(capsys, "rmse", run / "metrics/volume_differences.tsv").splitlines()
    assert shown[0].split("\t") == ["method", "scanner_a", "scanner_b", "tissue", "rmse_ml", "ci_low", "ci_high", "n"]
    expected = read_table(run / "metrics/rmse.tsv").rmse_ml
    assert [float(line.split("\t")[4]) for line in shown[1:]] == pytest.approx(list(expected), rel=1e-4)


@pytest.fixture
def runs(tmp_path) -> tuple[Path, Path]:
    first = write_example_run(tmp_path / "a", subjects=2, scanners=("A", "B"), methods=("raw", "whitestripe"))
    shutil.copytree(first, tmp_path / "b")
    return first, tmp_path / "b"


def differences(runs: tuple[Path, Path], **tolerances: float) -> pd.DataFrame:
    return compare(*runs, **{"relative": 1e-5, "absolute": 1e-9, **tolerances})


def test_equal_runs_do_not_differ(runs, capsys):
    status = read_table(runs[1] / "status.tsv")
    write_table(runs[1] / "status.tsv", status.assign(seconds=99.0, peak_mb=1.0))
    assert main(["compare", *map(str, runs)]) == 0
    assert capsys.readouterr().out == "nothing differs\n"


def test_a_number_beyond_tolerance_is_found_whatever_the_order_of_rows(runs, capsys):
    path = runs[1] / "metrics/ssim.tsv"
    table = read_table(path)
    table.loc[1, "ssim"] += 0.01
    write_table(path, table.iloc[::-1])
    found = differences(runs)
    assert list(found.file) == ["metrics/ssim.tsv"]
    assert list(found.what) == ["ssim"]
    assert found.differing[0] == 1
    assert found["where"][0] == "raw, 02, A, B"
    assert differences(runs, absolute=0.02).empty
    assert main(["compare", *map(str, runs)]) == 1
    assert "metrics/ssim.tsv" in capsys.readouterr().out


def test_missing_rows_columns_files_and_text_are_found(runs):
    volumes = read_table(runs[1] / "metrics/volumes.tsv")
    write_table(runs[1] / "metrics/volumes.tsv", volumes.iloc[1:].drop(columns="volume_ml_hard"))
    tests = read_table(runs[1] / "statistics/paired_tests.tsv")
    write_table(runs[1] / "statistics/paired_tests.tsv", tests.assign(significant="no", p=float("nan")))
    (runs[1] / "metrics/dice.tsv").unlink()
    found = differences(runs).set_index(["file", "what"])
    assert found.loc[("metrics/volumes.tsv", "row"), "b"] == "absent"
    assert found.loc[("metrics/volumes.tsv", "volume_ml_hard"), "b"] == "absent"
    assert found.loc[("metrics/dice.tsv", "file"), "b"] == "absent"
    assert ("statistics/paired_tests.tsv", "p") in found.index


def test_images_and_labels_are_compared_by_voxel(runs):
    image = runs[1] / "images/raw/sub-01_scanner-A_T1w.nii.gz"
    voxels, affine = load_image(image)
    voxels[3, 4, 5] += 0.1
    save_image(image, voxels, affine)
    labels = runs[1] / "segmentations/raw/sub-01_scanner-A_dseg.nii.gz"
    found_labels, _ = load_image(labels)
    found_labels[10, 12, 10] = 1
    save_labels(labels, found_labels, affine)
    found = differences(runs).set_index("file")
    assert found.loc[str(image.relative_to(runs[1])), "where"] == "voxel 3, 4, 5"
    loose = differences(runs, relative=10.0)
    assert list(loose.file) == [str(labels.relative_to(runs[1]))]
    save_image(image, voxels[1:], affine)
    assert "shape" in set(differences(runs).what)


def test_files_that_are_not_identical_are_named_but_for_the_machines_part(runs, capsys):
    first, second = runs
    status = read_table(second / "status.tsv")
    write_table(second / "status.tsv", status.assign(seconds=99.0, peak_mb=1.0))
    for name in ("logs/fit.log", "benchmarks/fit.tsv", ".at-work"):
        write_text(second / name, "of this machine")
    write_json(second / "provenance.json", read_json(first / "provenance.json") | {"machine": {"cores": 64}})
    for run, seconds in zip(runs, ("1.5", "9.9"), strict=True):
        write_text(run / "report.html", f'<p>all</p><section id="times">{seconds}</section>')
    assert main(["compare", "--bytes", *map(str, runs)]) == 0
    assert "identical" in capsys.readouterr().out
    write_text(second / "report.html", "<p>other</p>")
    write_text(first / "models/raw/method.json", "{}")
    write_table(second / "status.tsv", status.assign(status="failed"))
    assert main(["compare", "--bytes", *map(str, runs)]) == 1
    assert capsys.readouterr().out.split() == ["models/raw/method.json", "report.html", "status.tsv"]


def test_what_was_run_differently_is_told_but_is_no_result(runs, capsys):
    path = runs[1] / "provenance.json"
    content = read_json(path)
    write_json(path, content | {"config": {**content["config"], "seed": 5, "run": "b"}, "machine": {}})
    found = differences(runs)
    assert list(found.what) == ["config.seed"]
    assert list(found.b) == ["5"]
    assert main(["compare", *map(str, runs)]) == 0
    assert "config.seed" in capsys.readouterr().out


def test_comparison_needs_two_runs(runs, tmp_path):
    with pytest.raises(InputError, match="nowhere/scans.tsv: no such file"):
        main(["compare", str(runs[0]), str(tmp_path / "nowhere")])


def record(
    folder: Path, method: str, name: str, step: str, status: str = "ok", reason: str = "", seconds: float = 1
) -> None:
    content = {"method": method, "step": step, "status": status, "reason": reason}
    write_json(
        folder / method / f"{name}.json", {**content, "seconds": seconds, "peak_mb": 10 * seconds, "device": "cpu"}
    )


def test_records_of_batches_become_one_row_a_step(tmp_path):
    record(tmp_path, "raw", "fit", "fit")
    record(tmp_path, "raw", "segment-0000", "segment", seconds=2)
    record(tmp_path, "raw", "segment-0001", "segment", "failed", "constant image", seconds=3)
    record(tmp_path, "raw", "intensities", "intensities")
    record(tmp_path, "ravel", "fit", "fit", "not_applicable", "needs two scanners")
    out = tmp_path / "status.tsv"
    main(["status", str(tmp_path), "--arms", "ravel", "raw", "--out", str(out)])
    table = read_table(out)
    assert list(table.method) == ["ravel", "raw", "raw", "raw"]
    assert list(table.step) == ["fit", "fit", "intensities", "segment"]
    last = table.iloc[3]
    assert (last.status, last.reason, last.seconds, last.peak_mb) == ("failed", "constant image", 5, 30)
    assert failures(table) == ["raw failed at step segment: constant image"]
    assert failures(table[table.method == "ravel"]) == []
    with pytest.raises(InputError, match="mispel: no records"):
        join_status(tmp_path, ["mispel"])


def test_help_is_quick_to_load_and_names_every_verb(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for verb in (
        "intensities",
        "segment-arm",
        "measure-arm",
        "gather",
        "statistics",
        "tables",
        "compare",
        "segment",
        "ssim",
    ):
        assert verb in shown


def test_the_time_that_goes_into_starting_python_is_read_from_logs():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import json, decimal"], capture_output=True, text=True, check=True
    )
    processes, seconds = startup.imports("said before\n" + done.stderr + "said after\n" + done.stderr)
    assert processes == 2
    assert 0 < seconds < 60
    assert startup.imports("an arm's own words | _io-like\n") == (0, 0.0)
