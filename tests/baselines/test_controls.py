"""The controls: oracle, cohort mean, blur, shuffled scanner labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from baselines.blur import Blur, blurred
from baselines.cohort_mean import CohortMean
from baselines.combat import ComBat
from baselines.interface import Context, Method
from baselines.oracle import Oracle
from baselines.shuffle import Shuffle, shuffled
from core.errors import InputError
from core.images import save_image, scale_to_mean
from core.sheet import read_sheet, write_sheet
from core.study import Study
from tests.support.made_up_study import AFFINE, CONTRASTS, SHAPE, made_up_brain, write_study
from tests.support.methods import brain, fitted, write_scans


def with_truth(folder: Path) -> Study:
    """A made-up study in `folder/images` whose sheet, in `folder`, names true images in `folder/images/truth`."""
    study = read_sheet(write_study(folder / "images"))
    scans = []
    for number, scan in enumerate(study.scans):
        name = f"images/truth/{scan.name}_truth.nii.gz"
        labels = made_up_brain(int(scan.subject) - 1)[0]
        save_image(folder / name, np.array([0, *CONTRASTS[scan.scanner]])[labels] * (number + 1), AFFINE)
        scans.append(dataclasses.replace(scan, covariates={"truth_image": name}, folder=folder))
    write_sheet(folder / "scans.tsv", Study(tuple(scans)))
    return read_sheet(folder / "scans.tsv", scale="brain")


def test_the_oracle_is_the_mean_of_a_persons_true_images(tmp_path):
    study = with_truth(tmp_path)
    arm = fitted(Oracle(), study)
    for subject in study.subjects:
        labels, mask = made_up_brain(int(subject) - 1)
        true = [scale_to_mean(np.array([0, *CONTRASTS[name]])[labels], mask, "brain") for name in study.scanners]
        for scan in study.of_subject(subject):
            np.testing.assert_allclose(arm.transform(scan), np.mean(true, axis=0), atol=1e-5)
    (tmp_path / "images" / "truth" / "sub-02_scanner-Gamma_truth.nii.gz").unlink()
    with pytest.raises(InputError, match="sub-02_scanner-Gamma_truth.nii.gz: no such file"):
        arm.transform(study.find("02", "Alpha"))


def test_without_truth_the_oracle_is_the_mean_of_a_persons_scans(study):
    arm = fitted(Oracle(), study)
    scans = study.of_subject("02")
    expected = np.mean([scan.read() for scan in scans], axis=0)
    for scan in scans:
        np.testing.assert_allclose(arm.transform(scan), expected, atol=1e-6)


def test_everyone_becomes_the_cohorts_mean(study):
    arm = fitted(CohortMean(), study)
    inside = np.logical_and.reduce([scan.read_mask() for scan in study.scans])
    expected = np.mean([scan.read() for scan in study.scans], axis=0)
    for scan in (study.scans[0], study.scans[8]):
        np.testing.assert_allclose(arm.transform(scan)[inside], expected[inside], atol=1e-6)


def test_the_cohorts_mean_is_over_the_brains_that_hold_a_voxel(tmp_path):
    _, mask = made_up_brain(0)
    smaller = mask & (np.arange(SHAPE[0]) < 12)[:, None, None]
    images = {("01", "A"): np.full(SHAPE, 2.0), ("02", "A"): np.full(SHAPE, 4.0)}
    study = write_scans(tmp_path, images, {"01": mask, "02": smaller})
    image = fitted(CohortMean(), study).transform(study.scans[0])
    np.testing.assert_allclose(image[smaller], 3)
    np.testing.assert_allclose(image[mask & ~smaller], 2)


def test_a_blur_of_given_width():
    mask = np.ones((41, 41, 41), bool)
    point = np.zeros(mask.shape, np.float32)
    point[20, 20, 20] = 1
    profile = blurred(point, mask, np.array([4.0, 4.0, 4.0]))[:, 20, 20]
    half = np.interp(20 + 4 * np.sqrt(2 * np.log(2)), np.arange(41), profile)
    assert half == pytest.approx(profile.max() / 2, rel=0.01)


def test_a_blur_stays_inside_the_mask(tmp_path):
    _, mask = made_up_brain(0)
    scan = write_scans(tmp_path, {("01", "A"): np.full(SHAPE, 3.0)}, {"01": mask}).scans[0]
    np.testing.assert_allclose(brain(Blur().transform(scan), scan), 3, rtol=1e-5)
    with pytest.raises(ValueError, match="fwhm_mm is 0"):
        Blur.Parameters(fwhm_mm=0)


def test_labels_are_permuted_within_a_person(study):
    wrong = shuffled(study, np.random.default_rng(0))
    assert [scan.image for scan in wrong.scans] == [scan.image for scan in study.scans]
    for subject in study.subjects:
        assert sorted(scan.scanner for scan in wrong.of_subject(subject)) == sorted(study.scanners)
    assert [scan.scanner for scan in wrong.scans] != [scan.scanner for scan in study.scans]


def test_shuffling_takes_away_what_combat_knows(study):
    scans = study.of_subject("02")

    def disagreement(arm: Method) -> float:
        return np.abs(np.diff([arm.transform(scan) for scan in scans], axis=0)).mean()

    knowing = disagreement(fitted(ComBat(), study))
    shuffle = fitted(Shuffle(context=Context(seed=1)), study)
    raw = np.abs(np.diff([scan.read() for scan in scans], axis=0)).mean()
    assert knowing < 0.7 * disagreement(shuffle)
    assert disagreement(shuffle) > 0.8 * raw


def test_shuffle_passes_on_parameters_and_reasons(study):
    arm = Shuffle(Shuffle.Parameters(base="combat", settings="mean_only=true"))
    assert arm.inner.parameters == ComBat.Parameters(mean_only=True)
    assert "one scanner" in Shuffle().not_applicable(Study(tuple(study.of_scanner("Alpha"))))
    with pytest.raises(InputError, match="shuffle itself"):
        Shuffle(Shuffle.Parameters(base="shuffle")).fit(study)
    with pytest.raises(InputError, match="no method 'comba'"):
        Shuffle(Shuffle.Parameters(base="comba")).fit(study)
