"""mica."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from baselines.harness.applying import apply_method
from baselines.harness.fitting import fit_method
from baselines.mica import Mica, warp
from core.errors import InputError, NotApplicable
from core.images import load_image
from core.study import Study
from tests.support.made_up_study import SHAPE, made_up_brain
from tests.support.methods import brain, fitted, write_scans


@pytest.fixture
def warped(tmp_path):
    """Two people on three scanners: B's intensities are an increasing map of A's, C's are A's with noise."""
    images, masks = {}, {}
    generator = np.random.default_rng(0)
    for number, subject in enumerate(("01", "02")):
        labels, masks[subject] = made_up_brain(number)
        true = gaussian_filter(np.array([0, 0.4, 0.9, 1.3])[labels], 0.7) + generator.normal(0, 0.02, SHAPE)
        images[subject, "A"] = true
        images[subject, "B"] = np.exp(1.5 * true) + (number + 1) * true**3
        images[subject, "C"] = true + generator.normal(0, 0.1, SHAPE)
    return write_scans(tmp_path, images, masks)


def test_mica_undoes_any_increasing_map_of_a_persons_target_scan(warped):
    arm = fitted(Mica(), warped)
    assert arm.target == "A"
    for subject in warped.subjects:
        target = warped.find(subject, "A")
        np.testing.assert_array_equal(arm.transform(target), target.read())
        mapped = warped.find(subject, "B")
        error = np.abs(brain(arm.transform(mapped), mapped) - brain(target.read(), target))
        assert error.max() < 2e-3
        noisy = warped.find(subject, "C")
        aligned, wanted = brain(arm.transform(noisy), noisy), brain(target.read(), target)
        np.testing.assert_allclose(np.sort(aligned), np.sort(wanted), atol=2e-3)
        assert np.abs(aligned - wanted).mean() > 0.01


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=5, max_size=60), st.integers(0, 99))
def test_micas_map_never_decreases_and_stays_within_the_target(values, seed):
    from baselines.mica import quantile_function as micas_quantiles

    voxels = np.array(values, np.float32)
    target = np.random.default_rng(seed).normal(size=50).astype(np.float32)
    mapped = warp(voxels, micas_quantiles(voxels), micas_quantiles(target))
    assert (np.diff(mapped[np.argsort(voxels, kind="stable")]) >= 0).all()
    assert mapped.min() >= target.min() - 1e-6
    assert mapped.max() <= target.max() + 1e-6


def test_mica_needs_the_persons_own_target_scan(warped, tmp_path):
    without = Study(tuple(scan for scan in warped.scans if scan.name != "sub-02_scanner-A"))
    assert fitted(Mica(), without).target == "B"
    assert Mica(Mica.Parameters(target="A")).not_applicable(without) == (
        "the target scanner A has no scan of subject 02"
    )
    with pytest.raises(InputError, match="no scanner 'D'"):
        Mica(Mica.Parameters(target="D")).not_applicable(warped)
    first = warped.select(["01"])
    fit_method("mica", first, tmp_path / "model")
    with pytest.raises(NotApplicable, match="subject 02 has no scan from the target scanner A"):
        apply_method("mica", tmp_path / "model", without, tmp_path / "out")
    apply_method("mica", tmp_path / "model", warped.select(["02"]), tmp_path / "out")
    found = load_image(tmp_path / "out" / "sub-02_scanner-B_T1w.nii.gz")[0]
    assert np.abs(found - warped.find("02", "A").read()).max() < 2e-3
