"""Classes that take their neighbors' voxels: told from means and variances, and in images of less and less noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation import segment
from segmentation.spread import IN_DOUBT, reaches
from tests.support.mixed_brain import EDGE_MM, mixed_brain, seen_with


@pytest.mark.parametrize(
    ("means", "deviations", "expected"),
    [
        # alike in width: each half-way
        ([0, 1, 2], [0.2, 0.2, 0.2], [0.5, 0.5, 0.5]),
        # the lowest is wide, the others narrow: it has the gap beyond its neighbor, but for their peaks
        ([0, 1, 2], [1.0, 0.02, 0.02], [1.87, 0.06, 0.07]),
        ([0, 1, 2], [0.02, 0.02, 1.0], [0.07, 0.06, 1.87]),
        # the middle one is wide: it has the gaps beside it
        ([0, 1, 2], [0.02, 0.5, 0.02], [0.06, 0.94, 0.06]),
        # FAST's classes of a real scan (its labels' are these), far from either
        ([5.86, 6.78, 7.23], [0.954, 0.224, 0.081], [0.56, 0.65, 0.35]),
    ],
)
def test_how_far_a_class_reaches(means, deviations, expected):
    found = reaches(np.array(means, float), np.array(deviations, float) ** 2)
    np.testing.assert_allclose(found, expected, atol=0.01)


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(*[st.floats(0.05, 5)] * 2),
    st.tuples(*[st.floats(0.01, 3)] * 3),
    st.floats(0.01, 100),
    st.floats(-100, 100),
)
def test_no_unit_changes_how_far(gaps, deviations, factor, offset):
    means, variances = np.cumsum([0, *gaps]), np.square(deviations)
    found = reaches(means, variances)
    np.testing.assert_allclose(reaches(offset + factor * means, factor**2 * variances), found, atol=0.01)
    np.testing.assert_allclose(reaches(-means[::-1], variances[::-1])[::-1], found, atol=0.01)


@pytest.mark.parametrize("engine", ["hmrf", "gmm"])
def test_the_less_noise_the_further(engine):
    fractions, mask = mixed_brain()
    reach, error = [], []
    for noise in (60, 15, 5):
        found = segment(seen_with(noise, fractions, mask), mask, (EDGE_MM,) * 3, engine=engine)
        reach.append(reaches(found.means, found.variances).max())
        shares = np.array([(found.labels == label).sum() for label in (1, 2, 3)]) / mask.sum()
        error.append(np.abs(shares - fractions[:, mask].mean(axis=1)).max())
    assert reach[0] < IN_DOUBT <= reach[-1]
    assert sorted(reach) == reach
    assert error[-1] > 2 * error[0]
