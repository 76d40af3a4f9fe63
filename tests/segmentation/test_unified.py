"""Unified segmentation: the mixture against scikit-learn's, field and warp against those put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from core.names import TISSUES
from segmentation import segment
from segmentation.cosine_bases import field
from segmentation.engines import unified
from segmentation.priors import places_in_atlas, priors_at
from segmentation.warped_mixture import (
    MIXTURE_STEPS,
    TISSUE_OF,
    cost,
    fit,
    mixture_density,
    started,
    thinned,
    with_better_bias,
    with_better_mixture,
    with_better_warp,
)
from tests.support.atlas_brain import STEP, atlas_scan, dice

SIZES = (STEP,) * 3


def smooth_bias(shape: tuple[int, ...]) -> np.ndarray:
    x, y, _ = np.meshgrid(*[np.linspace(0, np.pi, size) for size in shape], indexing="ij")
    return np.exp(0.2 * np.cos(x) - 0.15 * np.cos(2 * y))


@pytest.fixture(scope="module")
def places(brain):
    mask, _, affine = brain
    return places_in_atlas(mask, affine)


@pytest.fixture(scope="module")
def uneven(brain, scan, places):
    """The thinned brain of a scan with a bias field."""
    image = (scan * smooth_bias(scan.shape)).astype(np.float32)
    return thinned(image, brain[0], SIZES, places, priors_at)


def test_finds_the_tissues(brain, scan):
    mask, labels, affine = brain
    found = segment(scan, mask, SIZES, engine="unified", affine=affine)
    for number, tissue in enumerate(TISSUES, start=1):
        assert dice(found.labels == number, labels == number) > 0.97, tissue
    np.testing.assert_allclose(found.posteriors[:, mask].sum(axis=0), 1, atol=1e-5)
    assert not found.posteriors[:, ~mask].any()
    np.testing.assert_allclose(found.means, [300, 600, 900], atol=10)
    np.testing.assert_allclose(np.sqrt(found.variances), 25, atol=10)
    assert found.partial_volumes is None


def test_finds_the_bias_field(brain, scan):
    mask, labels, affine = brain
    bias = smooth_bias(mask.shape)
    found = segment((scan * bias).astype(np.float32), mask, SIZES, engine="unified", affine=affine)
    assert found.bias_field is not None
    ratio = found.bias_field[mask] / bias[mask]
    assert ratio.std() / ratio.mean() < 0.01
    for number, tissue in enumerate(TISSUES, start=1):
        assert dice(found.labels == number, labels == number) > 0.97, tissue


def test_the_same_image_gives_the_same_bytes(brain, scan):
    mask, _, affine = brain
    one, other = (segment(scan, mask, SIZES, engine="unified", affine=affine) for _ in range(2))
    np.testing.assert_array_equal(one.posteriors, other.posteriors)


def test_it_lies_however_the_axes_run(brain, scan):
    mask, _, affine = brain
    turned = np.ascontiguousarray(scan[::-1])
    flipped = affine @ np.array([[-1, 0, 0, len(mask) - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    one = segment(scan, mask, SIZES, engine="unified", affine=affine)
    other = segment(turned, np.ascontiguousarray(mask[::-1]), SIZES, engine="unified", affine=flipped)
    assert np.mean(one.labels[mask] == other.labels[::-1][mask]) > 0.995


def test_no_step_raises_the_cost(uneven):
    model = started(uneven)
    last = cost(uneven, model)
    for better in (with_better_mixture, with_better_bias, with_better_mixture, with_better_warp) * 2:
        model = better(uneven, model)
        found = cost(uneven, model)
        assert found <= last + 1e-6 * abs(last), better.__name__
        last = found


def test_with_priors_that_tell_nothing_the_mixture_is_scikit_learn_s(uneven):
    blind = replace(uneven, priors=lambda places: np.full((len(TISSUES), len(places)), 1 / len(TISSUES)))
    start = started(uneven)
    peer = GaussianMixture(
        TISSUE_OF.size,
        covariance_type="spherical",
        reg_covar=0,
        tol=1e-12,
        max_iter=MIXTURE_STEPS,
        weights_init=start.weights,
        means_init=start.means[:, None],
        precisions_init=1 / start.variances,
    )
    with pytest.warns(UserWarning, match="did not converge"):
        peer.fit(blind.values[:, None])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segmentation.warped_mixture.TOLERANCE", -np.inf)
        found = with_better_mixture(blind, start)
    np.testing.assert_allclose(found.means, peer.means_[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.variances, peer.covariances_, rtol=1e-5)
    np.testing.assert_allclose(found.weights, peer.weights_, rtol=1e-6)


def test_a_known_warp_is_found(brain, places):
    """A brain made where the maps are read 6 mm off: the fitted warp goes most of the way."""
    mask, _, _ = brain
    bend = 6 * np.sin(np.pi * (places[:, 1] - places[:, 1].min()) / np.ptp(places[:, 1]))
    off = np.stack([np.zeros_like(bend), np.zeros_like(bend), bend], axis=1)
    labels = np.zeros(mask.shape, dtype=int)
    labels[mask] = priors_at(places + off).argmax(axis=0) + 1
    made = thinned(atlas_scan(labels), mask, SIZES, places, priors_at)
    model = fit(made)
    found = np.stack([field(made.warp_axes, one)[made.inside] for one in model.warp], axis=1)
    assert made.inside.sum() == mask.sum()
    left = np.sqrt(np.square(found - off).sum(axis=1).mean())
    assert left < 0.5 * np.sqrt(np.square(off).sum(axis=1).mean())


def test_no_gaussian_vanishes_on_equal_values(brain, scan):
    """Rounded to 100, an image has nine values, on which a Gaussian of no spread would have every odds."""
    mask, labels, affine = brain
    coarse = np.where(mask, np.maximum(np.round(scan / 100) * 100, 100), 0).astype(np.float32)
    found = segment(coarse, mask, SIZES, engine="unified", affine=affine)
    assert np.isfinite(found.posteriors).all()
    assert dice(found.labels == 3, labels == 3) > 0.9


def test_a_voxel_among_another_tissue_goes_over_to_it():
    mask = np.ones((3, 3, 3), dtype=bool)
    posteriors = np.zeros((3, 3, 3, 3), dtype=np.float32)
    posteriors[2] = 1
    posteriors[:, 1, 1, 1] = (0.0, 0.6, 0.4)
    found = unified.seen_by_neighbors(posteriors, mask, (1.0, 1.0, 1.0))
    odds = 0.4 * np.exp(6) / 0.6
    np.testing.assert_allclose(found[2, 1, 1, 1], odds / (1 + odds), rtol=1e-5)
    thick = unified.seen_by_neighbors(posteriors, mask, (1.0, 1.0, 2.0))
    odds = 0.4 * np.exp(4 + 2 / 4) / 0.6
    np.testing.assert_allclose(thick[2, 1, 1, 1], odds / (1 + odds), rtol=1e-5)


def test_the_density_is_a_density(uneven):
    """Over all values, where the atlas has any tissue, the Gaussians' shares add up to 1."""
    model = started(uneven)
    grid = np.linspace(-3000, 5000, 8001)
    priors = np.repeat([[0.2], [0.5], [0.3]], grid.size, axis=1)
    np.testing.assert_allclose(mixture_density(grid, priors, model).sum() * (grid[1] - grid[0]), 1, rtol=1e-6)


def test_without_the_atlas_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("core.libraries.find_spec", lambda module: None)
    with pytest.raises(Exception, match=r"engine unified needs nilearn, not installed here: pip install"):
        unified.check()
