"""ESPA: what is simulated, and that nobody's name counts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines._simulated_matches import Mixture, Ranges, draw, moved, ranges_between
from baselines.espa import Espa, mixture_of, simulated
from baselines.interface import Context
from core.study import Study

MIXTURE = Mixture(np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.9, 1.4]), np.array([0.1, 0.12, 0.08]), 1.0)
NOTHING = Ranges(np.zeros((2, 3)), np.zeros((2, 3)), np.ones(2))


def test_where_scanners_do_not_differ_a_scan_is_its_own_simulation():
    values = np.random.default_rng(0).gamma(9, 1 / 9, 500).astype(np.float32)
    own = dataclasses.replace(MIXTURE, mean=float(values.mean()))
    ranges = dataclasses.replace(NOTHING, level=np.full(2, own.mean))
    np.testing.assert_allclose(moved(values, own, draw(own, ranges, np.random.default_rng(0))), values, rtol=1e-6)


def test_each_component_is_moved_and_widened():
    """Far from the others a component's intensities go where the new one has them, but for the image's mean."""
    generator = np.random.default_rng(1)
    source = Mixture(np.full(3, 1 / 3), np.array([1.0, 5.0, 9.0]), np.full(3, 0.1), 5.0)
    target = Mixture(source.weights, np.array([2.0, 5.5, 8.0]), np.array([0.2, 0.1, 0.05]), 10.0)
    values = np.concatenate([generator.normal(mean, 0.1, 20_000) for mean in source.means])
    found = moved(values, source, target).reshape(3, -1)
    factor = 10 / target.means.mean()
    np.testing.assert_allclose(found.mean(axis=1), factor * target.means, rtol=2e-3)
    np.testing.assert_allclose(found.std(axis=1), factor * target.deviations, rtol=2e-2)
    assert found.mean() == pytest.approx(10)


@given(st.lists(st.floats(-0.6, 0.6), min_size=6, max_size=6), st.integers(0, 1000))
def test_what_is_drawn_lies_in_its_range_and_in_order(ends, seed):
    means = np.sort(np.reshape(ends, (2, 3)), axis=0)
    ranges = Ranges(means, means / 10, np.array([0.9, 1.1]))
    found = draw(MIXTURE, ranges, np.random.default_rng(seed))
    assert (np.diff(found.means) >= 0).all()
    assert (found.deviations > 0).all()
    assert 0.9 <= found.mean <= 1.1
    if (np.diff(MIXTURE.means + means[0]) > 1.2).all():
        assert ((MIXTURE.means + means[0] <= found.means) & (found.means <= MIXTURE.means + means[1])).all()


def test_ranges_are_those_of_all_pairs_of_scans():
    def at(shift: float) -> Mixture:
        return dataclasses.replace(MIXTURE, means=MIXTURE.means + shift, mean=1 + shift)

    found = ranges_between([at(0.0), at(0.1)], [at(0.5), at(0.7)])
    np.testing.assert_allclose(found.means, [[0.4] * 3, [0.7] * 3])
    np.testing.assert_allclose(found.deviations, 0, atol=1e-15)
    np.testing.assert_allclose(found.level, [1.5, 1.7])


def test_every_scan_becomes_a_person_on_every_scanner(study, tmp_path):
    found = simulated(study, tmp_path, np.random.default_rng(0))
    assert len(found.subjects) == len(study.scans)
    assert len(found.scans) == len(study.scans) * len(study.scanners)
    for subject in found.subjects:
        images = [scan.read()[scan.read_mask()] for scan in found.of_subject(subject)]
        assert all(abs(float(image.mean()) - 1) < 1e-3 for image in images)
    # the scan itself is among them, on its own scanner
    for scan in study.scans:
        assert any(
            np.array_equal(scan.read_mask(), match.read_mask()) and np.allclose(scan.read(), match.read(), atol=1e-5)
            for match in found.of_scanner(scan.scanner)
        )
    own = mixture_of(study.scans[0])
    assert own.weights.sum() == pytest.approx(1, abs=1e-5)
    assert (np.diff(own.means) > 0).all()


def renamed(study: Study) -> Study:
    """The study with people's names shuffled on each scanner by itself, and its rows in another order."""
    scans = []
    for turn, scanner in enumerate(study.scanners):
        own = study.of_scanner(scanner)
        names = [scan.subject for scan in own]
        names = names[turn:] + names[:turn]
        scans += [dataclasses.replace(scan, subject=name) for scan, name in zip(own, names, strict=True)]
    return Study(tuple(reversed(scans)))


def test_who_is_the_same_person_changes_no_byte(study, tmp_path):
    parameters = Espa.Parameters(preset="demo", width=4)
    models = []
    for number, whole in enumerate((study, renamed(study))):
        method = Espa(parameters, Context(seed=1, device="cpu"))
        assert method.not_applicable(whole) is None
        method.fit(whole)
        folder = tmp_path / str(number)
        folder.mkdir()
        method.save(folder)
        models.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert models[0] == models[1]
