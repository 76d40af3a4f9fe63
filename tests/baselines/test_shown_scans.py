"""What a method is shown of a person: one scan at a time, unless it says that it uses the others."""

import dataclasses

import numpy as np
import pytest

from baselines.blur import blurred
from baselines.harness.applying import apply_method
from baselines.harness.fitting import fit_method
from baselines.harness.registry import method
from baselines.matched_blur import MatchedBlur, matching_width, relative_roughness
from baselines.person_mean import PersonMean
from baselines.raw import Raw
from core.images import load_image, save_image
from core.run_folder import image_name
from core.study import Study
from tests.support.methods import fitted


@pytest.fixture
def twice(study) -> Study:
    """The study, its first person scanned once more on the first scanner."""
    again = dataclasses.replace(study.scans[0], session="2", rescan=True)
    return dataclasses.replace(study, rescans=(again,))


@pytest.mark.parametrize("uses_other_scans", [False, True])
def test_only_a_method_that_says_so_is_shown_a_persons_other_scans(uses_other_scans, twice, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(method("raw"), "prepare", lambda self, study: shown.append(study))
    monkeypatch.setattr(method("raw"), "uses_other_scans", uses_other_scans)
    fit_method("raw", twice, tmp_path / "model")
    apply_method("raw", tmp_path / "model", twice, tmp_path / "out")
    most = max(len(study.of_subject(subject)) for study in shown for subject in study.subjects)
    assert most == (3 if uses_other_scans else 1)
    assert all(not study.rescans for study in shown)
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == sorted(image_name(scan.name) for scan in twice.every)


def test_a_method_that_has_no_image_of_a_rescan_leaves_it_out(twice, tmp_path):
    for scan in twice.scans:
        save_image(tmp_path / f"{scan.subject}_{scan.scanner}.nii.gz", scan.read(), scan.affine)
    given = {"images": f"{tmp_path}/{{subject}}_{{scanner}}.nii.gz", "uses_other_scans": False}
    for pattern, written in ((given["images"], 9), (f"{tmp_path}/{{session}}_{{subject}}_{{scanner}}.nii.gz", 10)):
        if "{session}" in pattern:
            for scan in twice.every:
                name = f"{scan.session}_{scan.subject}_{scan.scanner}.nii.gz"
                save_image(tmp_path / name, scan.read(), scan.affine)
        external = method("external")
        parameters = external.Parameters(images=pattern, uses_other_scans=False)
        fit_method("external", twice, tmp_path / "model", parameters=parameters)
        out = tmp_path / f"out{written}"
        apply_method("external", tmp_path / "model", twice, out)
        assert len(list(out.iterdir())) == written


def test_a_persons_mean_is_the_same_for_each_of_their_scans(study):
    arm = fitted(PersonMean(), study)
    scans = study.of_subject("02")
    expected = np.mean([scan.read() for scan in scans], axis=0)
    for scan in scans:
        np.testing.assert_allclose(arm.transform(scan), np.where(scan.read_mask(), expected, 0), atol=1e-6)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (250.0, -400.0)])
def test_a_matched_blur_finds_the_width_whatever_the_arms_scale(slope, offset, study, tmp_path):
    for scan in study.scans:
        smooth = blurred(scan.read(), scan.read_mask(), np.full(3, 0.7))
        save_image(
            tmp_path / image_name(scan.name), np.where(scan.read_mask(), slope * smooth + offset, 0), scan.affine
        )
    arm = fitted(MatchedBlur(MatchedBlur.Parameters(images=str(tmp_path))), study)
    wanted = 0.7 * 6 * 2 * np.sqrt(2 * np.log(2))
    assert arm.fwhm_mm == pytest.approx(wanted, rel=0.05)
    scan = study.scans[4]
    own, raw = (
        relative_roughness([(image, scan.read_mask())])
        for image in (arm.transform(scan), load_image(tmp_path / image_name(scan.name))[0])
    )
    assert own == pytest.approx(raw, rel=0.05)


def test_a_blur_is_matched_though_the_arm_aligned_intensities_first(study, tmp_path):
    """As White Stripe and a blur would be: neither the scans' units nor their common range may hide the blur."""
    for number, scan in enumerate(study.scans):
        smooth = blurred(scan.read(), scan.read_mask(), np.full(3, 0.7))
        aligned = np.where(scan.read_mask(), (1 + number) * smooth - 3 * number, 0)
        save_image(tmp_path / image_name(scan.name), aligned, scan.affine)
    arm = fitted(MatchedBlur(MatchedBlur.Parameters(images=str(tmp_path))), study)
    assert arm.fwhm_mm == pytest.approx(0.7 * 6 * 2 * np.sqrt(2 * np.log(2)), rel=0.05)


def test_an_arm_that_is_no_smoother_than_raw_is_matched_by_raw_itself(study, tmp_path):
    for scan in study.scans:
        save_image(tmp_path / image_name(scan.name), Raw().transform(scan), scan.affine)
    arm = fitted(MatchedBlur(MatchedBlur.Parameters(images=str(tmp_path))), study)
    assert arm.fwhm_mm == 0
    np.testing.assert_array_equal(arm.transform(study.scans[0]), study.scans[0].read())


def test_without_images_there_is_nothing_to_match(study, tmp_path):
    arm = MatchedBlur(MatchedBlur.Parameters(images=str(tmp_path / "none")))
    assert "there is no image in" in arm.not_applicable(study)


@pytest.mark.parametrize("wanted", [0.05, 0.3, 0.9, 2.0])
def test_the_search_ends_within_a_hundredth_of_a_millimeter(wanted):
    found = matching_width(lambda width: np.exp(-width / 3), wanted)
    assert found == pytest.approx(max(0.0, -3 * np.log(wanted)), abs=0.01)
