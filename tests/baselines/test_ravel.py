"""RAVEL against the R package, and what must hold for any study."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.interface import Context
from baselines.ravel import Ravel, control_mask, regression_weights, unwanted_factors
from core.errors import InputError
from core.images import save_image, save_labels
from core.run_folder import hard_labels_name, image_name
from core.sheet import read_sheet
from core.study import Scan, Study
from evaluation.arms.ranges import WHOLE, ArmImages
from evaluation.arms.segmenting import segment_arm
from tests.support.made_up_study import write_study
from tests.support.paths import DATA

ORACLE = DATA / "whitestripe_ravel"


@pytest.fixture(scope="module")
def oracle() -> dict:
    inputs = dict(np.load(ORACLE / "inputs.npz"))
    outputs = dict(np.load(ORACLE / "r_outputs.npz"))
    # R's voxel vectors run in Fortran order
    brain = inputs["brain_mask"].ravel(order="F") > 0
    outputs["control"] = inputs["control_mask"].ravel(order="F")[brain] > 0
    return outputs


@pytest.mark.parametrize(
    ("expected", "count", "with_age"), [("ravel_k1", 1, False), ("ravel_k2", 2, False), ("ravel_k1_mod_age", 1, True)]
)
def test_correction_follows_r(oracle, expected, count, with_age):
    striped = oracle["ws"].astype(np.float64).T
    factors, singular_values = unwanted_factors(striped[oracle["control"]], count)
    covariates = oracle["age"][:, np.newaxis] if with_age else np.empty((12, 0))
    coefficients = striped @ regression_weights(factors, covariates)
    corrected = striped - coefficients @ factors.T + striped.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(corrected.T, oracle[expected], atol=1e-3)
    np.testing.assert_allclose(singular_values, oracle["d"][:count], rtol=1e-5)
    np.testing.assert_allclose(np.abs(factors), np.abs(oracle["Z"][:, :count]), atol=1e-5)


def test_control_mask_counts():
    """Trap 5: of 4 masks at 0.9, floor(3.6) = 3 are needed; none left is an error that names a way out."""
    counts = np.array([[[4, 3, 2]]])
    brain = np.ones_like(counts, bool)
    assert control_mask(counts, brain, 4, 0.9).ravel().tolist() == [True, True, False]
    with pytest.raises(InputError, match="probability=0.5"):
        control_mask(np.minimum(counts, 2), brain, 4, 1.0)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """The oracle's 3 subjects x 4 scanners as files."""
    folder = tmp_path_factory.mktemp("study")
    inputs = np.load(ORACLE / "inputs.npz")
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    save_labels(folder / "mask.nii.gz", inputs["brain_mask"], affine)
    save_labels(folder / "control.nii.gz", inputs["control_mask"], affine)
    scans = []
    for number, image in enumerate(inputs["images"]):
        path = folder / f"{number}.nii.gz"
        save_image(path, image, affine)
        age = {"age": str(60 + number // 4)}
        scans.append(Scan(f"s{number // 4}", f"m{number % 4}", path, folder / "mask.nii.gz", age))
    return Study(tuple(scans))


def fitted(study: Study, **parameters) -> Ravel:
    ravel = Ravel(Ravel.Parameters(**parameters))
    ravel.fit(study)
    return ravel


def test_files_give_what_arrays_give(study, oracle, tmp_path):
    ravel = fitted(study, control_mask=study.scans[0].image.parent / "control.nii.gz")
    mask = study.scans[0].read_mask()
    striped = np.stack([ravel._striped(scan)[mask] for scan in study.scans], axis=1).astype(np.float64)
    factors, _ = unwanted_factors(striped[np.isin(np.flatnonzero(mask), ravel.arrays["control"])], 1)
    expected = striped - striped @ factors @ factors.T + striped.mean(axis=1, keepdims=True)
    ravel.save(tmp_path)
    again = Ravel()
    again.load(tmp_path)
    for number, scan in enumerate(study.scans):
        result = ravel.transform(scan)
        assert result.dtype == np.float32
        assert not result[~mask].any()
        np.testing.assert_allclose(result[mask], expected[:, number], atol=1e-4)
        np.testing.assert_array_equal(again.transform(scan), result)


@pytest.mark.parametrize(
    ("expected", "settings"),
    [
        ("ravel_k1", {}),
        ("ravel_k2", {"factors": 2}),
        ("ravel_k1_mod_age", {"covariates": "age"}),
    ],
)
def test_striped_files_follow_r(study, oracle, tmp_path, expected, settings):
    control = study.scans[0].image.parent / "control.nii.gz"
    mask = study.scans[0].read_mask()
    scans = []
    for number, scan in enumerate(study.scans):
        image = np.zeros(mask.size, np.float32)
        image[mask.ravel(order="F")] = oracle["ws"][number]
        path = tmp_path / f"{number}.nii.gz"
        save_image(path, image.reshape(mask.shape, order="F"), scan.affine)
        age = {"age": f"{oracle['age'][number]:.9g}"}
        scans.append(Scan(scan.subject, scan.scanner, path, scan.mask, age))
    striped = Study(tuple(scans))
    ravel = fitted(striped, striped=True, control_mask=control, **settings)
    for number, scan in enumerate(striped.scans):
        result = ravel.transform(scan).ravel(order="F")[mask.ravel(order="F")]
        np.testing.assert_allclose(result, oracle[expected][number], atol=1e-3)


def test_order_of_the_scans_does_not_matter(study):
    """Trap 4."""
    mask = study.scans[0].image.parent / "control.nii.gz"
    forward = fitted(study, control_mask=mask)
    backward = fitted(Study(study.scans[::-1]), control_mask=mask)
    for scan in study.scans[:3]:
        np.testing.assert_allclose(forward.transform(scan), backward.transform(scan), atol=1e-4)


def test_own_control_voxels_keep_off_the_edge(study):
    ravel = fitted(study, engine="gmm", probability=0.7, erosion_mm=8.0)
    mask = study.scans[0].read_mask()
    control = np.zeros(mask.size, bool)
    control[ravel.arrays["control"]] = True
    control = control.reshape(mask.shape)
    assert control.any()
    for axis in range(3):
        for shift in (-2, 2):
            assert not (control & ~np.roll(mask, shift, axis)).any()


def test_unusable_parameters_and_covariates(study):
    with pytest.raises(InputError, match="no column 'agee' .did you mean 'age'"):
        fitted(study, covariates="agee", control_mask=study.scans[0].mask)
    with pytest.raises(InputError, match="12 factors"):
        fitted(study, factors=12)
    with pytest.raises(ValueError, match="probability"):
        Ravel.Parameters(probability=1.5)


def test_raws_labels_give_the_model_that_its_own_segmentation_gives(tmp_path):
    """As a run's RAW is segmented: through its range, with a rule that isn't the most probable tissue."""
    whole = read_sheet(write_study(tmp_path / "own"), scale="brain")
    for scan in whole.scans:
        save_image(tmp_path / "raw" / image_name(scan.name), scan.read(), scan.affine)
    intensities = ArmImages("raw", whole, tmp_path / "raw").ranges()[WHOLE]
    segment_arm(
        whole,
        arm="raw",
        images=tmp_path / "raw",
        intensities=intensities,
        reference=intensities,
        engine="gmm",
        rule="posterior",
        threshold=0.9,
        threads=1,
        out=tmp_path / "labels",
        hard=True,
    )
    parameters = Ravel.Parameters(engine="gmm", probability=0.7)
    own, given = Ravel(parameters), Ravel(parameters, Context(labels=tmp_path / "labels"))
    assert own.labels_by == "gmm"
    for arm in (own, given):
        arm.fit(whole)
    assert {name: array.tobytes() for name, array in own.arrays.items()} == {
        name: array.tobytes() for name, array in given.arrays.items()
    }
    # and the labels are what it looks at
    (tmp_path / "labels" / hard_labels_name(whole.scans[0].name)).unlink()
    with pytest.raises(InputError, match=hard_labels_name(whole.scans[0].name)):
        given.fit(whole)
    with_mask = Ravel.Parameters(control_mask=whole.scans[0].mask)
    assert Ravel(with_mask).labels_by is None
