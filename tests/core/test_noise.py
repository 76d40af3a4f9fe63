"""The noise of an image, told from a brain's voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.noise import noise_sd


@settings(deadline=None, max_examples=15)
@given(st.floats(0.01, 5), st.floats(0.1, 40), st.integers(0, 99))
def test_noise_is_seen_on_a_slope_and_scales_with_the_image(sd, factor, seed):
    rng = np.random.default_rng(seed)
    slope = 0.3 * np.indices((20, 21, 22)).sum(axis=0)
    image = slope + rng.normal(0, sd, slope.shape)
    everywhere = np.ones(slope.shape, dtype=bool)
    assert noise_sd(image, everywhere) == pytest.approx(sd, rel=0.08)
    assert noise_sd(factor * image + 7, everywhere) == pytest.approx(factor * noise_sd(image, everywhere))


def test_it_is_blind_to_what_lies_beyond_the_centers_neighbors_and_takes_the_quietest_axis():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (30, 30, 30))
    image[1:] = (image[1:] + image[:-1]) / 2
    centers = np.zeros(image.shape, dtype=bool)
    centers[5:25, 5:25, 5:25] = True
    found = noise_sd(image, centers)
    assert found < 0.6
    image[:4] = image[26:] = 1e6
    assert noise_sd(image, centers) == found


def test_without_a_center_that_has_neighbors_there_is_no_number():
    image = np.random.default_rng(0).normal(size=(3, 3, 3))
    assert np.isnan(noise_sd(image, np.zeros(image.shape, dtype=bool)))
    corner = np.zeros(image.shape, dtype=bool)
    corner[0, 0, 0] = True
    assert np.isnan(noise_sd(image, corner))
    corner[1, 1, 1] = True
    assert np.isfinite(noise_sd(image, corner))
