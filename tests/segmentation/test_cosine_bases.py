"""Sums over cosines, axis by axis, against the plain design matrix."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segmentation.cosine_bases import bending, cosine_axes, counts_above, field, projected, weighted_products


@given(
    shape=st.tuples(*[st.integers(3, 8)] * 3),
    counts=st.tuples(*[st.integers(1, 3)] * 3),
    step=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_sums_are_the_design_matrix_s(shape, counts, step, seed):
    axes = cosine_axes(shape, counts, step)
    thinned = tuple(len(range(0, size, step)) for size in shape)
    design = np.einsum("ai,bj,ck->abcijk", *axes).reshape(np.prod(thinned), -1)
    generator = np.random.default_rng(seed)
    coefficients, values = generator.normal(size=counts), generator.normal(size=thinned)
    np.testing.assert_allclose(field(axes, coefficients).ravel(), design @ coefficients.ravel(), atol=1e-12)
    np.testing.assert_allclose(projected(axes, values).ravel(), design.T @ values.ravel(), atol=1e-12)
    np.testing.assert_allclose(
        weighted_products(axes, values), design.T @ (values.ravel()[:, None] * design), atol=1e-12
    )


def test_functions_are_orthonormal():
    np.testing.assert_allclose(
        weighted_products(cosine_axes((5, 6, 4), (5, 6, 4)), np.ones((5, 6, 4))), np.eye(120), atol=1e-12
    )


def test_a_function_s_bending_is_that_of_its_second_derivatives():
    """By differences on a fine grid: the sum over all pairs of axes of the second derivatives, squared."""
    shape, counts, lengths, step = (200, 180, 160), (4, 3, 3), (100.0, 90.0, 80.0), 0.5
    one = np.zeros(counts)
    one[3, 1, 2] = 1
    found = field(cosine_axes(shape, counts), one)
    energy = sum(
        np.square(np.gradient(np.gradient(found, step, axis=i), step, axis=j)[4:-4, 4:-4, 4:-4]).mean()
        for i in range(3)
        for j in range(3)
    )
    np.testing.assert_allclose(energy / np.square(found).mean(), bending(lengths, counts)[3, 1, 2], rtol=0.05)


def test_no_function_is_shorter_than_asked():
    counts = counts_above((180.0, 220.0, 50.0), 60.0)
    assert counts == (7, 8, 2)
    assert all(2 * length / (count - 1) >= 60 for length, count in zip((180, 220, 50), counts, strict=True))
