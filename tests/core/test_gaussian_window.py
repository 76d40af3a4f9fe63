"""SSIM's window: what scipy's filter gives, at every border."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from core.gaussian_window import RADIUS, SIGMA, smooth, weights


@given(shape=st.tuples(*[st.integers(1, 14)] * 3), seed=st.integers(0, 99))
@settings(deadline=None)  # the first call compiles
def test_it_is_scipys_filter_with_zeros_around(shape, seed):
    values = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
    expected = ndimage.gaussian_filter(values.astype(np.float64), SIGMA, truncate=3.5, mode="constant", cval=0.0)
    found = smooth(values)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6


def test_arrays_of_any_layout_are_taken():
    values = np.random.default_rng(0).uniform(size=(8, 9, 10))
    assert np.array_equal(smooth(np.asfortranarray(values)), smooth(values.astype(np.float32)))


def test_the_weights_add_up_to_one():
    half = weights()
    assert len(half) == RADIUS + 1
    assert 2 * half.sum(dtype=np.float64) - half[0] == pytest.approx(1, abs=1e-6)
    assert smooth(np.ones((15, 15, 15)))[7, 7, 7] == pytest.approx(1, abs=1e-6)
