"""Blocks of the study's grid, and the volumes in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.regions import EDGE_MM, blocks
from segmentation import Segmentation, volumes_by_region_ml, volumes_ml


@given(st.tuples(*[st.integers(1, 60)] * 3), st.tuples(*[st.floats(0.7, 8)] * 3))
def test_blocks_part_the_grid_from_its_middle(shape, sizes):
    found, count = blocks(shape, np.diag([*sizes, 1.0]))
    assert found.shape == shape
    assert set(np.unique(found)) == set(range(count))
    middle = [(count - 1) / 2 * size for count, size in zip(shape, sizes, strict=True)]
    for block in np.unique(found)[:5]:
        places = np.argwhere(found == block) * sizes - middle
        assert (np.ptp(places, axis=0) <= EDGE_MM).all()
        # no block reaches over the middle
        assert ((places >= -1e-9).all(axis=0) | (places < 1e-9).all(axis=0)).all()


@pytest.mark.parametrize("with_partial_volumes", [True, False])
def test_volumes_by_region_sum_to_the_whole(with_partial_volumes):
    generator = np.random.default_rng(0)
    posteriors = generator.dirichlet([0.2] * 3, (12, 11, 10)).transpose(3, 0, 1, 2).astype(np.float32)
    labels = (1 + posteriors.argmax(axis=0)).astype(np.uint8)
    labels[:2] = 0
    posteriors[:, :2] = 0
    segmentation = Segmentation(
        labels=labels,
        posteriors=posteriors,
        bias_field=None,
        partial_volumes=posteriors if with_partial_volumes else None,
        means=np.array([1.0, 2.0, 3.0]),
        variances=np.ones(3),
        engine="gmm",
    )
    regions, count = blocks(labels.shape, np.diag([9.0, 9.0, 9.0, 1.0]))
    found = volumes_by_region_ml(segmentation, regions, count, 0.729)
    whole = volumes_ml(segmentation, 0.729)
    assert count > 4
    for rule, volumes in found.items():
        assert volumes.shape == (count, 3)
        np.testing.assert_allclose(volumes.sum(axis=0), list(whole[rule].values()))
    for label in (1, 2, 3):
        for region in range(count):
            expected = np.count_nonzero((labels == label) & (regions == region)) * 0.729
            assert found["hard"][region, label - 1] == pytest.approx(expected)
