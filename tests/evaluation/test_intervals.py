"""Intervals hold the true value as often as they say: in simulated studies, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evaluation import intervals
from evaluation.measures.bland_altman import agreement
from evaluation.measures.reliability import between_person_sd_interval, icc_interval, within_person_cv
from evaluation.measures.volumes import rmse

STUDIES = 10_000
"""Of so many, the share of intervals that hold the true value is known to 0.2 points (one standard error)."""


def covered(interval: intervals.Interval, true: float) -> float:
    low, high = interval
    return float(np.mean((low <= true) & (true <= high)))


@pytest.mark.parametrize("people", [6, 10, 18])
@pytest.mark.parametrize("bias", [0.0, 0.5, 2.0])
def test_the_interval_of_an_rmse_covers_it(people, bias):
    differences = np.random.default_rng(people).normal(bias, 1, (STUDIES, people))
    assert 0.92 < covered(intervals.of_positive(rmse, differences), np.sqrt(1 + bias**2)) < 0.97


@pytest.mark.parametrize("people", [6, 10, 18])
def test_the_interval_of_a_within_person_variation_covers_it(people):
    rng = np.random.default_rng(people)
    # 4 scanners; people differ, and the variation is small against the mean, so that it is the SD over the mean
    values = rng.normal(600, 30, (STUDIES, people, 1)) * (1 + rng.normal(0, 0.02, (STUDIES, people, 4)))
    assert 0.92 < covered(intervals.of_positive(within_person_cv, values, axis=-2), 2.0) < 0.97


@pytest.mark.parametrize("people", [6, 10, 18])
def test_the_interval_of_a_mean_difference_covers_it(people):
    rng = np.random.default_rng(people)
    shared = rng.normal(0, 3, (STUDIES, people))
    values, reference = shared + rng.normal(2, 1, shared.shape), shared + rng.normal(0, 1, shared.shape)
    assert 0.94 < covered(intervals.of_mean_difference(values, reference), 2.0) < 0.96
    assert 0.89 < covered(intervals.of_mean_difference(values, reference, confidence=0.9), 2.0) < 0.91


def test_the_interval_of_a_bias_covers_it():
    differences = np.random.default_rng(0).normal(-3, 2, (2000, 6))
    found = [agreement(of_study) for of_study in differences]
    ends = np.array([[one.bias_low for one in found], [one.bias_high for one in found]])
    assert 0.935 < covered(tuple(ends), -3.0) < 0.965


VARIATIONS = [(30.0, 5.0, 5.0), (10.0, 20.0, 10.0), (5.0, 1.0, 15.0)]
"""Standard deviations of people, scanners and single scans: reliable volumes, scanners that differ, noise."""


def volumes(studies: int, people: int, variation: tuple[float, float, float]) -> np.ndarray:
    """Volumes (studies, people, 4 scanners) that vary so."""
    rng = np.random.default_rng(people)
    shapes = (studies, people, 1), (studies, 1, 4), (studies, people, 4)
    return sum(rng.normal(0, sd, shape) for sd, shape in zip(variation, shapes, strict=True))


@pytest.mark.parametrize("people", [6, 10, 18])
@pytest.mark.parametrize("variation", VARIATIONS)
def test_the_interval_of_between_person_variation_covers_it(people, variation):
    interval = between_person_sd_interval(volumes(STUDIES, people, variation))
    assert 0.94 < covered(interval, variation[0]) < 0.96


@pytest.mark.slow
@pytest.mark.parametrize("people", [6, 10, 18])
@pytest.mark.parametrize("variation", VARIATIONS)
def test_the_interval_of_an_icc_covers_it_nearly(people, variation):
    intervals_of = np.array([icc_interval(one) for one in volumes(2000, people, variation)])
    person, _, _ = np.square(variation)
    # McGraw and Wong's degrees of freedom are an approximation, worst where few scanners differ much: 91 % there
    assert 0.9 < covered(tuple(intervals_of.T), person / np.square(variation).sum()) < 0.97


def test_the_interval_of_a_mean_is_students():
    values = np.array([[1.0, 4.0], [3.0, 0.0], [5.0, 2.0]])
    low, high = intervals.of_mean(values, axis=0)
    expected = stats.t.interval(0.95, 2, loc=values.mean(axis=0), scale=stats.sem(values, axis=0))
    np.testing.assert_allclose((low, high), expected)


def test_of_an_exponential_mean_the_logarithms_interval_is_students():
    logs = np.random.default_rng(0).normal(size=(5, 7))

    def geometric_mean(values: np.ndarray) -> np.ndarray:
        return np.exp(np.log(values).mean(axis=-1))

    # the jackknife's standard error of a mean is the usual one
    low, high = intervals.of_positive(geometric_mean, np.exp(logs))
    np.testing.assert_allclose((np.log(low), np.log(high)), intervals.of_mean(logs))


def test_an_interval_of_a_positive_number_scales_with_it():
    differences = np.random.default_rng(1).normal(1, 2, (3, 6))
    low, high = intervals.of_positive(rmse, differences)
    np.testing.assert_allclose(intervals.of_positive(rmse, 40 * differences), (40 * low, 40 * high))
    assert (low > 0).all()


def test_there_is_no_interval_of_one_person_or_of_nothing():
    assert np.isnan(intervals.of_mean(np.ones((2, 1)))).all()
    assert np.isnan(intervals.of_positive(rmse, np.ones((2, 1)))).all()
    assert np.isnan(intervals.of_positive(rmse, np.array([0.0, 0.0, 0.0]))).all()
    assert np.isnan(intervals.of_positive(rmse, np.array([0.0, 3.0]))).all()
    with pytest.raises(ValueError, match="count it from the end"):
        intervals.of_positive(rmse, np.ones((2, 3)), axis=0)
