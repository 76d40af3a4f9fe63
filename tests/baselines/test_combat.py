"""ComBat: the package's numbers, its fixed point, and images whatever the chunks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import baselines.combat
from baselines.combat import ComBat, adjust, locate, shrink, why_nothing
from core.errors import InputError
from core.study import Study
from tests.support.methods import fitted, with_covariates
from tests.support.paths import DATA


@pytest.fixture(scope="module")
def package():
    """Made-up values and what neuroCombat 0.2.12 (numpy 1.26) makes of them: 40 voxels, 22 scans, 4 scanners."""
    with np.load(DATA / "combat" / "neurocombat.npz", allow_pickle=False) as stored:
        return dict(stored)


def combat(package, *, covariates=True, empirical_bayes=True, mean_only=False):
    """Harmonized values (voxels, scans), the scanners' shifts and scales, and the model."""
    values = package["values"].T
    scanners = np.unique(package["scanners"], return_inverse=True)[1]
    design = np.column_stack([package["age"] - package["age"].mean(), package["sex"] == "M"]).astype(float)
    design = design if covariates else design[:, :0]
    found = locate(values, scanners, design, mean_only=mean_only)
    assert found.usable.all()
    shift, scale = found.shift.copy(), found.scale.copy()
    if empirical_bayes:
        for number in range(4):
            shift[number], scale[number] = shrink(
                found.shift[number], found.scale[number], found.counts[number], mean_only=mean_only
            )
    harmonized = [
        adjust(row, shift[scanner], scale[scanner], found.mean + covariate @ found.slopes, found.deviation)
        for row, scanner, covariate in zip(values, scanners, design, strict=True)
    ]
    return np.transpose(harmonized), shift, scale, found


@pytest.mark.parametrize(
    ("case", "options", "tolerance"),
    [
        ("no_bayes", {"empirical_bayes": False}, 1e-12),
        ("mean_only", {"mean_only": True}, 1e-12),
        # the package ends its iteration at a relative change of 1e-4
        ("plain", {"covariates": False}, 1e-5),
        ("covariates", {}, 1e-5),
    ],
)
def test_combat_gives_the_packages_numbers(package, case, options, tolerance):
    harmonized, *_ = combat(package, **options)
    assert np.abs(harmonized - package["values"]).max() > 0.3
    np.testing.assert_allclose(harmonized, package[case], rtol=0, atol=tolerance)


def test_combats_posteriors_are_the_packages_and_its_fixed_point(package):
    _, shift, scale, found = combat(package)
    np.testing.assert_allclose(shift, package["gamma_star"], atol=5e-5)
    np.testing.assert_allclose(scale, package["delta_star"], atol=5e-5)
    mean, variance = found.scale[1].mean(), found.scale[1].var(ddof=1)
    alpha, beta = mean**2 / variance + 2, mean * (mean**2 / variance + 1)
    count = found.counts[1]
    squares = (count - 1) * found.scale[1] + count * (found.shift[1] - shift[1]) ** 2
    np.testing.assert_allclose(scale[1], (squares / 2 + beta) / (count / 2 + alpha - 1), rtol=1e-5)


def test_combat_of_a_new_scan_uses_what_was_stored(package):
    _, shift, scale, found = combat(package, covariates=False)
    for column, scanner in enumerate("bdac"):
        number = "abcd".index(scanner)
        new = adjust(package["new"][:, column], shift[number], scale[number], found.mean, found.deviation)
        np.testing.assert_allclose(new, package["new_plain"][:, column], atol=1e-5)


def test_a_voxel_is_fitted_on_the_scans_that_hold_it(package):
    values = package["values"].T.copy()
    scanners = np.unique(package["scanners"], return_inverse=True)[1]
    age = (package["age"] - package["age"].mean())[:, None]
    absent = np.array([0, 7, 8, 14])
    values[absent, 3] = np.nan
    values[scanners == 2, 5] = np.nan
    values[:, 6] = 4.2
    found = locate(values, scanners, age)
    assert list(np.flatnonzero(~found.usable)) == [5, 6]
    present = np.setdiff1d(np.arange(len(values)), absent)
    alone = locate(values[present], scanners[present], age[present])
    for name in ("mean", "slopes", "deviation", "shift", "scale", "counts"):
        np.testing.assert_allclose(getattr(found, name)[..., 3], getattr(alone, name)[..., 3], rtol=1e-10)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.1, 1000), offset=st.floats(-100, 100), seed=st.integers(0, 99))
def test_combat_of_an_affine_copy_is_the_affine_copy_of_combat(factor, offset, seed):
    generator = np.random.default_rng(seed)
    values, scanners = generator.normal(size=(9, 6)), np.repeat([0, 1, 2], 3)

    def harmonized(values):
        found = locate(values, scanners, np.zeros((9, 0)))
        shift, scale = shrink(found.shift[1], found.scale[1], found.counts[1])
        return adjust(values[4], shift, scale, found.mean, found.deviation)

    np.testing.assert_allclose(
        harmonized(factor * values + offset), factor * harmonized(values) + offset, rtol=1e-5, atol=1e-5 * factor
    )


def test_combat_on_images_whatever_the_chunks(study, monkeypatch):
    arm = fitted(ComBat(), study)
    # whoever has voxels in the mask that no one else has keeps them
    shared = np.sum([study.find(subject, "Alpha").read_mask() for subject in study.subjects], axis=0) >= 2
    scan = study.scans[1]
    image = arm.transform(scan)
    np.testing.assert_array_equal(image[~shared], scan.read()[~shared])
    changed = shared & scan.read_mask()
    assert np.abs(image - scan.read())[changed].mean() > 0.05

    def disagreement(images):
        return np.mean([np.abs(np.diff(images(subject), axis=0)).mean() for subject in study.subjects])

    before = disagreement(lambda subject: [scan.read() for scan in study.of_subject(subject)])
    after = disagreement(lambda subject: [arm.transform(scan) for scan in study.of_subject(subject)])
    assert after < 0.6 * before
    monkeypatch.setattr(baselines.combat, "CHUNK_BYTES", 8 * 9 * 1000)
    np.testing.assert_allclose(fitted(ComBat(), study).transform(scan), image, atol=1e-5)


def test_combats_covariates(study, tmp_path):
    named = with_covariates(study, group=lambda scan: "AB"[scan.subject == "03"], age=lambda scan: "7" + scan.subject)
    arm = fitted(ComBat(ComBat.Parameters(covariates="group")), named)
    assert arm.arrays["slopes"].shape[0] == 1
    (tmp_path / "model").mkdir()
    arm.save(tmp_path / "model")
    again = ComBat()
    again.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(named.scans[4]), arm.transform(named.scans[4]))
    stranger = dataclasses.replace(named.scans[0], covariates={"group": "C"})
    with pytest.raises(InputError, match="group is 'C', and no scan that was fitted was so .known: A, B"):
        arm.prepare(Study((stranger,)))
    with pytest.raises(InputError, match="no column 'hight'"):
        ComBat(ComBat.Parameters(covariates="hight")).fit(named)
    lacking = with_covariates(study, age=lambda scan: "" if scan.subject == "02" else "70")
    with pytest.raises(InputError, match="sub-02_scanner-Alpha.: age is '', which is no value"):
        ComBat(ComBat.Parameters(covariates="age")).fit(lacking)


AGES = {"01": 60, "02": 71, "03": 65}


@pytest.mark.parametrize(
    ("covariates", "columns", "message"),
    [
        ("site", {"site": lambda scan: scan.scanner}, "'site' can't be told from the scanners"),
        ("tesla", {"tesla": lambda scan: "1.5" if scan.scanner == "Alpha" else "3"}, "'tesla' can't be told from the"),
        (
            "age, born",
            {"age": lambda scan: str(AGES[scan.subject]), "born": lambda scan: str(2020 - AGES[scan.subject])},
            "'born' follows from 'age' and the scanner",
        ),
        ("who", {"who": lambda scan: scan.name}, "9 scans are too few for 3 scanners .* 'who', which take 8 columns"),
        ("age", {"age": lambda scan: "89+" if scan.subject == "02" else "70"}, "row 5 .*age is '89.', where 6 of 9"),
    ],
)
def test_a_covariate_that_cannot_be_kept_is_named(covariates, columns, message, study):
    with pytest.raises(InputError, match=message):
        ComBat(ComBat.Parameters(covariates=covariates)).fit(with_covariates(study, **columns))


@pytest.mark.parametrize(("value", "other"), [("60", "60.5"), ("F", "M")])
def test_a_covariate_that_does_not_vary_is_left_out(value, other, study, capsys):
    plain = fitted(ComBat(), study)
    same = with_covariates(study, it=lambda scan: value)
    arm = fitted(ComBat(ComBat.Parameters(covariates="it")), same)
    assert f"combat: it is '{value}' in every scan, so it is left out" in capsys.readouterr().err
    np.testing.assert_array_equal(arm.transform(same.scans[0]), plain.transform(study.scans[0]))
    with pytest.raises(InputError, match=f"it is '?{other}'?, and "):
        arm.prepare(with_covariates(study, it=lambda scan: other))


def test_scans_that_leave_nothing_to_fit_are_named(study):
    first = study.find("01", "Alpha")
    twins = Study(
        tuple(
            dataclasses.replace(scan, image=first.image, mask=first.mask) if scan.scanner == "Alpha" else scan
            for scan in study.scans
        )
    )
    message = "sub-01_scanner-Alpha, sub-02_scanner-Alpha, sub-03_scanner-Alpha are the same at every voxel"
    with pytest.raises(InputError, match=message):
        ComBat().fit(twins)
    counts = np.array([[2, 1, 0], [0, 1, 3]])
    assert "no voxel lies in 2 brains of every scanner (A at most 2, B at most 3)" in why_nothing("AB", counts, 2, [])


def test_combat_says_where_it_cannot_be_used(study):
    assert "one scanner, Alpha" in ComBat().not_applicable(Study(tuple(study.of_scanner("Alpha"))))
    few = Study((*study.of_scanner("Alpha"), study.of_scanner("Gamma")[0]))
    assert "Gamma has a single scan" in ComBat().not_applicable(few)
    shifts = fitted(ComBat(ComBat.Parameters(mean_only=True)), few)
    assert (shifts.arrays["scale"] == 1).all()
