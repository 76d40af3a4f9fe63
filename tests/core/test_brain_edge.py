"""Depth in the brain, against eroding it step by step."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from core.brain_edge import LAYERS, depth, in_layer


@given(seed=st.integers(0, 1000), filled=st.floats(0.5, 1.0))
@settings(deadline=None, max_examples=30)
def test_depth_counts_erosions_up_to_the_images_own_edge(seed, filled):
    left = mask = np.random.default_rng(seed).random((9, 7, 8)) < filled
    expected = np.zeros(mask.shape, np.uint8)
    while left.any():
        expected += left
        left = binary_erosion(left)
    np.testing.assert_array_equal(depth(mask), expected)


def test_layers_part_the_brain():
    found = depth(np.ones((16, 17, 18), bool))
    assert found.max() == 8
    layers = [in_layer(found, layer) for layer in LAYERS]
    assert (np.sum(layers, axis=0) == 1).all()
    assert [int(found[layer].max()) for layer in layers] == [1, 2, 4, 8]
