"""Superpixel-ComBat: ComBat itself where each voxel is a piece, smooth differences taken away, people not looked at."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import baselines.superpixel_combat
from baselines.combat import ComBat
from baselines.superpixel_combat import SuperpixelComBat, piece_means, smooth_map, superpixels
from core.errors import InputError
from core.images import load_mask
from core.study import Study
from tests.support.methods import brain, fitted, with_covariates, write_scans


def test_where_each_voxel_is_a_piece_it_is_combat(study, monkeypatch):
    def each_voxel(template, inside, edges_mm, **_):
        pieces = np.zeros(inside.shape, np.uint16)
        pieces[inside] = np.arange(1, np.count_nonzero(inside) + 1)
        return pieces

    monkeypatch.setattr(baselines.superpixel_combat, "superpixels", each_voxel)
    ours = fitted(SuperpixelComBat(SuperpixelComBat.Parameters(smooth_mm=1e-3)), study)
    theirs = fitted(ComBat(), study)
    for scan in study.scans[:4]:
        np.testing.assert_allclose(brain(ours.transform(scan), scan), brain(theirs.transform(scan), scan), rtol=1e-4)


def test_a_smooth_difference_between_scanners_goes(study, tmp_path):
    masks = {scan.subject: scan.read_mask() for scan in study.scans}
    shape = study.shape
    slow = 0.3 * np.cos(np.linspace(0, np.pi, shape[0]))[:, None, None] * np.ones(shape)
    first = study.scanners[0]
    people = {scan.subject: scan.read() for scan in study.scans if scan.scanner == first}
    images = {}
    for number, (subject, image) in enumerate(people.items()):
        noise = np.random.default_rng(number)
        images[subject, "A"] = image + 0.01 * noise.standard_normal(shape)
        images[subject, "B"] = image + slow + 0.01 * noise.standard_normal(shape)
    both = write_scans(tmp_path, images, masks)
    parameters = SuperpixelComBat.Parameters(edge_mm=15, smooth_mm=8, empirical_bayes=False)
    arm = fitted(SuperpixelComBat(parameters), both)

    def difference(read) -> float:
        pairs = [both.of_subject(subject) for subject in both.subjects]
        return float(np.mean([np.abs(brain(read(a), a) - brain(read(b), b)).mean() for a, b in pairs]))

    assert difference(arm.transform) < 0.4 * difference(lambda scan: scan.read())


def test_who_is_the_same_person_changes_nothing(study):
    """Unpaired: people shuffled among scanners give the same model, byte for byte."""
    shuffled = Study(
        tuple(dataclasses.replace(scan, subject=f"{scan.scanner}-{number}") for number, scan in enumerate(study.scans))
    )
    one, other = (fitted(SuperpixelComBat(), given) for given in (study, shuffled))
    assert one.pieces.tobytes() == other.pieces.tobytes()
    for name, array in one.arrays.items():
        assert array.tobytes() == other.arrays[name].tobytes(), name


def test_superpixels_part_the_brain_into_pieces_of_the_size_asked_for(study):
    scan = study.scans[0]
    inside = load_mask(scan.mask)[0]
    edges = np.full(3, 6.0)
    pieces = superpixels(scan.read(), inside, edges, edge_mm=24.0, compactness=0.1)
    assert np.array_equal(pieces > 0, inside)
    assert set(np.unique(pieces)) == set(range(int(pieces.max()) + 1))
    volume = np.count_nonzero(inside) * 6.0**3 / pieces.max()
    assert 0.4 < volume / 24.0**3 < 2.5


def test_a_piece_that_a_scan_hardly_holds_has_no_mean():
    pieces = np.array([[[1, 1, 1, 1, 2, 2, 0]]], np.uint16)
    image = np.array([[[1.0, 3.0, 9.0, 9.0, 5.0, 7.0, 8.0]]])
    mask = np.array([[[True, True, False, False, True, False, True]]])
    assert piece_means(image, mask, pieces, 2).tolist() == [2.0, 5.0]
    mask[0, 0, :2] = [True, False]
    assert np.isnan(piece_means(image, mask, pieces, 2)[0])


@given(st.floats(-5, 5), st.floats(0.3, 3), st.integers(0, 99))
def test_a_constant_stays_one_and_gaps_are_filled(value, sigma, seed):
    generator = np.random.default_rng(seed)
    pieces = generator.integers(0, 5, (6, 7, 8)).astype(np.uint16)
    values = np.full(4, value)
    values[generator.integers(4)] = np.nan
    found = smooth_map(values, pieces, np.full(3, sigma))
    assert np.isnan(found[pieces == 0]).all()
    known = found[np.isfinite(found)]
    assert known.size
    assert np.allclose(known, value, atol=1e-6)


def test_sizes_and_covariates_are_checked(study):
    for name in ("edge_mm", "compactness", "smooth_mm"):
        with pytest.raises(InputError, match=f"superpixel_combat.{name}: 0; give a number above 0"):
            SuperpixelComBat(SuperpixelComBat.Parameters(**{name: 0.0})).fit(study)
    one = Study(tuple(study.of_scanner(study.scanners[0])))
    assert "nothing to bring together" in SuperpixelComBat().not_applicable(one)
    age = with_covariates(study, age=lambda scan: str(50 + 7 * int(scan.subject)))
    kept = fitted(SuperpixelComBat(SuperpixelComBat.Parameters(covariates="age")), age)
    assert kept.arrays["slopes"].shape[0] == 1
