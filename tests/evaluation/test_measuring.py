"""An arm's steps on a small run, from images to `metrics/`, as the workflow calls them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from core.errors import InputError, Remark
from core.files import read_table, write_table
from core.images import save_image, save_labels
from core.run_folder import image_name
from core.sheet import read_sheet
from evaluation.__main__ import main
from evaluation.arms.images import arm_brain, read_arm_image

SUBJECTS = ("01", "02", "03")
SCANNERS = ("Trio", "GE")
SHAPE = (14, 16, 12)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
METHODS = ("raw", "copy", "blur")


def fractions_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:12, 2:14, 2:10] = True
    labels = np.where(mask, rng.integers(1, 4, SHAPE), 0)
    return np.stack([labels == label for label in (1, 2, 3)], axis=-1).astype(np.float32), mask


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of three subjects on two scanners with truth, one scan missing, and three arms' images."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    rows = []
    for subject in SUBJECTS:
        fractions, mask = fractions_of(rng)
        nib.save(nib.Nifti1Image(fractions, AFFINE), folder / f"{subject}_fractions.nii.gz")
        save_labels(folder / f"{subject}_labels.nii.gz", fractions.argmax(axis=-1) + 1 * mask, AFFINE)
        save_labels(folder / f"{subject}_mask.nii.gz", mask, AFFINE)
        for number, scanner in enumerate(SCANNERS):
            if (subject, scanner) == ("03", "GE"):
                continue
            clean = fractions @ np.array([0.4, 0.9 + 0.05 * number, 1.3])
            clean /= clean[mask].mean()
            noisy = np.where(mask, clean + 0.05 * rng.standard_normal(SHAPE), 0)
            name = f"sub-{subject}_scanner-{scanner}"
            save_image(folder / f"{name}_truth.nii.gz", clean, AFFINE)
            save_image(folder / "images/raw" / f"{name}_T1w.nii.gz", noisy, AFFINE)
            save_image(folder / "images/copy" / f"{name}_T1w.nii.gz", np.where(mask, 7 * noisy - 30, 0), AFFINE)
            blurred = np.where(mask, 0.5 * noisy + 0.5 * np.roll(noisy, 1, axis=0), 0)
            save_image(folder / "images/blur" / f"{name}_T1w.nii.gz", blurred, AFFINE)
            rows.append(
                {
                    "subject": subject,
                    "scanner": scanner,
                    "image": f"images/raw/{name}_T1w.nii.gz",
                    "mask": f"{subject}_mask.nii.gz",
                    "truth_image": f"{name}_truth.nii.gz",
                    "truth_labels": f"{subject}_labels.nii.gz",
                    "truth_fractions": f"{subject}_fractions.nii.gz",
                }
            )
    write_table(folder / "scans.tsv", pd.DataFrame(rows))
    for method in METHODS:
        arm_steps(folder, method, SUBJECTS[:2], "a")
        arm_steps(folder, method, SUBJECTS[2:], "b")
    main(["gather", str(folder), "--arms", *METHODS])
    return folder


def arm_steps(run: Path, method: str, subjects: tuple[str, ...], batch: str, *more: str) -> None:
    shared = ["--scans", f"{run}/scans.tsv", "--images", f"{run}/images/{method}", *more]
    intensities = f"{run}/intensities/{method}.json"
    main(["intensities", *shared, "--out", intensities])
    shared += ["--subjects", *subjects, "--intensities", intensities, "--reference", f"{run}/intensities/raw.json"]
    parts, labels = f"{run}/parts/{method}", f"{run}/segmentations/{method}"
    main(["segment-arm", *shared, "--engine", "gmm", "--out", labels, "--volumes", f"{parts}/volumes-{batch}.tsv"])
    shared += ["--segmentations", labels, "--reference-segmentations", f"{run}/segmentations/raw"]
    main(["measure-arm", *shared, "--out", parts, "--batch", batch])


def metric(run: Path, name: str) -> pd.DataFrame:
    return read_table(run / "metrics" / f"{name}.tsv")


def test_every_metric_has_its_columns_and_only_what_was_scanned(run):
    ssim = metric(run, "ssim")
    assert list(ssim.columns)[:5] == ["method", "subject", "scanner_a", "scanner_b", "ssim"]
    assert list(ssim.method.unique()) == list(METHODS)
    assert set(zip(ssim.scanner_a, ssim.scanner_b, strict=True)) == {("Trio", "GE")}
    assert list(ssim.subject) == ["01", "02"] * 3
    volumes = metric(run, "volumes")
    assert list(volumes.columns)[:5] == ["method", "subject", "scanner", "tissue", "volume_ml"]
    assert list(volumes.tissue[:3]) == ["CSF", "GM", "WM"]
    assert len(volumes) == 3 * 5 * 3
    assert set(volumes.engine) == {"gmm"}
    assert volumes.volume_ml_pve.isna().all()
    assert volumes.reach.between(0.01, 2).all()
    assert (volumes.volume_ml_hard >= volumes.volume_ml).all()
    differences = metric(run, "volume_differences")
    assert list(differences.columns) == [
        "method",
        "subject",
        "scanner_a",
        "scanner_b",
        "tissue",
        "difference_ml",
        "absolute_difference_ml",
        "difference_ml_pve",
        "absolute_difference_ml_pve",
        "difference_ml_hard",
        "absolute_difference_ml_hard",
    ]
    assert list(metric(run, "dice").columns) == ["method", "subject", "scanner_a", "scanner_b", "tissue", "dice"]
    rmse = metric(run, "rmse")
    assert list(rmse.columns) == [
        "method",
        "scanner_a",
        "scanner_b",
        "tissue",
        "rmse_ml",
        "ci_low",
        "ci_high",
        "n",
    ]
    assert set(rmse.n) == {2}


def test_an_affine_copy_of_raw_gets_raws_segmentation(run):
    volumes = metric(run, "volumes").set_index("method")
    assert list(volumes.loc["copy", "volume_ml"]) == pytest.approx(list(volumes.loc["raw", "volume_ml"]))
    ssim = metric(run, "ssim").set_index("method")
    np.testing.assert_allclose(ssim.loc["copy", "ssim"], ssim.loc["raw", "ssim"], atol=1e-4)
    assert (ssim.loc["copy", "ssim_own_scale"] != ssim.loc["copy", "ssim"]).all()
    np.testing.assert_allclose(ssim.loc["raw", "ssim_own_scale"], ssim.loc["raw", "ssim"], atol=1e-6)


def test_the_truth_is_compared_for_every_arm(run):
    truth = metric(run, "truth")
    assert len(truth) == 3 * 5 * 3
    volumes = metric(run, "volumes")
    np.testing.assert_allclose(truth.volume_error_ml, volumes.volume_ml - truth.true_volume_ml, atol=2e-3)
    true = truth[truth.method == "raw"].groupby(["subject", "scanner"]).true_volume_ml.sum()
    np.testing.assert_allclose(true, 10 * 12 * 8 * 0.064, rtol=1e-5)
    images = metric(run, "truth_similarity").set_index("method")
    assert (images.loc["raw", "ssim_truth"].to_numpy() > images.loc["blur", "ssim_truth"].to_numpy()).all()
    np.testing.assert_allclose(images.loc["copy", "ssim_truth"], images.loc["raw", "ssim_truth"], atol=1e-4)


def test_the_further_measures_have_their_tables(run):
    contrast = metric(run, "contrast").set_index("method")
    assert len(contrast) == 3 * 5
    np.testing.assert_allclose(contrast.loc["copy", "cnr"], contrast.loc["raw", "cnr"], rtol=1e-4)
    assert (contrast.loc["blur", "cnr"].to_numpy() < contrast.loc["raw", "cnr"].to_numpy()).all()
    distances = metric(run, "intensity_distances")
    assert list(distances.columns) == ["method", "subject", "scanner_a", "scanner_b", "tissue", "wasserstein"]
    assert len(distances) == 3 * 2 * 3
    named = metric(run, "scanner_classification")
    assert set(named.named) <= set(SCANNERS)
    assert set(named.correct) <= {0, 1}
    reliability = metric(run, "reliability")
    assert set(reliability.n) == {2}
    assert (reliability.icc <= 1).all()
    agreement = metric(run, "bland_altman")
    # the mixture estimates no partial volumes, so the hard label stands for them
    assert set(agreement.rule) == set(reliability.rule) == {"hard label"}
    differences = metric(run, "volume_differences").groupby(["method", "tissue"], sort=False).difference_ml_hard.mean()
    np.testing.assert_allclose(agreement.bias_ml, differences, atol=1e-6)
    assert (metric(run, "identification").people == 2).all()
    assert metric(run, "biology").empty


def test_two_gatherings_give_the_same_bytes(run, tmp_path):
    before = {path.name: path.read_bytes() for path in (run / "metrics").iterdir()}
    main(["gather", str(run), "--arms", *METHODS, "--batches", "a", "b"])
    assert before == {path.name: path.read_bytes() for path in (run / "metrics").iterdir()}


def test_parts_of_another_division_into_batches_are_refused_unless_left_out(run):
    stale = run / "parts/raw/measures-old.json"
    stale.write_bytes((run / "parts/raw/measures-a.json").read_bytes())
    try:
        with pytest.raises(InputError, match="holds raw, 01, .* twice"):
            main(["gather", str(run), "--arms", *METHODS])
        main(["gather", str(run), "--arms", *METHODS, "--batches", "a", "b"])
    finally:
        stale.unlink()
    with pytest.raises(InputError, match="no such part"):
        main(["gather", str(run), "--arms", *METHODS, "--batches", "a", "c"])


def test_a_failed_arm_leaves_the_others_and_no_numbers(run, tmp_path):
    failed, later = tmp_path / "failed.json", tmp_path / "later.json"
    part = tmp_path / "parts/constant/volumes-a.tsv"
    for path in (run / "images/raw").iterdir():
        image = nib.load(path)
        save_image(tmp_path / "images/constant" / path.name, np.ones(image.shape), image.affine)
    arm = ["--scans", f"{run}/scans.tsv", "--images", f"{tmp_path}/images/constant", "--on-failure", "record"]
    intensities = f"{tmp_path}/constant.json"
    main(["intensities", *arm, "--out", intensities, "--status", str(failed)])
    assert json.loads(failed.read_text())["status"] == "failed"
    assert "no contrast" in json.loads(failed.read_text())["reason"]
    main(
        [
            "segment-arm",
            *arm,
            "--intensities",
            intensities,
            "--reference",
            f"{run}/intensities/raw.json",
            "--out",
            f"{tmp_path}/labels",
            "--volumes",
            str(part),
            "--status",
            str(later),
            "--requires",
            str(failed),
        ]
    )
    assert json.loads(later.read_text())["reason"].startswith("at step intensities")
    assert part.read_bytes() == b""


def test_an_image_of_another_shape_or_with_nan_is_named(run, tmp_path):
    name = "sub-01_scanner-Trio_T1w.nii.gz"
    arm = ["--scans", f"{run}/scans.tsv", "--images", str(tmp_path), "--out", str(tmp_path / "out.json")]
    with pytest.raises(InputError, match=f"{name}: no such file"):
        main(["intensities", *arm])
    save_image(tmp_path / name, np.ones((3, 3, 3)), AFFINE)
    with pytest.raises(InputError, match=rf"{name} has shape \(3, 3, 3\)"):
        main(["intensities", *arm])
    save_image(tmp_path / name, np.full(SHAPE, np.nan), AFFINE)
    with pytest.raises(InputError, match=f"{name}: 960 NaN or infinite voxels"):
        main(["intensities", *arm])


def test_what_an_arm_masked_away_is_neither_in_its_range_nor_segmented(run, tmp_path):
    """Images made elsewhere, masked by one voxel less: their zeros took the darkest class for themselves."""
    study = read_sheet(run / "scans.tsv", check=False)
    scan, mask = study.scans[0], study.scans[0].read_mask()
    inner = mask & np.roll(mask, 1, 0)
    save_image(tmp_path / image_name(scan.name), np.where(inner, 2 * scan.read(), 0), AFFINE)
    image = read_arm_image(tmp_path, scan, mask)
    with pytest.warns(Remark, match=f"0 in {np.count_nonzero(mask & ~inner)} of the brain's .* not segmented"):
        np.testing.assert_array_equal(arm_brain(tmp_path, scan, image, mask), inner)
    with pytest.raises(InputError, match="0 in .*100.00%.*whole brain"):
        arm_brain(tmp_path, scan, 0 * image, mask)
