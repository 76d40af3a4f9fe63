"""Shares over studies and random effects: by hand, and how often the intervals hold what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.proportion import proportion_confint

from evaluation.merging.random_effects import mean_share, random_effects, wilson


@pytest.mark.parametrize(("wins", "people"), [(0, 4), (4, 4), (3, 7), (50, 100)])
def test_wilsons_interval_is_that_of_statsmodels(wins, people):
    assert wilson(wins, people) == pytest.approx(proportion_confint(wins, people, method="wilson"), abs=1e-9)


@pytest.mark.parametrize("people", [[6, 6, 6, 18], [5], [3, 7, 11]])
def test_a_share_of_none_or_all_has_its_end_there(people):
    assert mean_share([0] * len(people), people).low == 0
    assert mean_share(people, people).high == 1


def test_of_one_study_the_share_is_its_own():
    found = mean_share([3], [7])
    assert (found.value, found.low, found.high) == pytest.approx((3 / 7, *wilson(3, 7)))


def test_of_two_studies_distances_are_put_together():
    found = mean_share([1, 6], [4, 8])
    (low_a, high_a), (low_b, high_b) = wilson(1, 4), wilson(6, 8)
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5 - math.hypot(0.25 - low_a, 0.75 - low_b) / 2)
    assert found.high == pytest.approx(0.5 + math.hypot(high_a - 0.25, high_b - 0.75) / 2)


def test_random_effects_by_hand():
    # w = 1: Q = 2, C = 3 - 1 = 2, tau^2 = 0; q = 2 / 2 = 1, so the error is 1 / sqrt(3)
    found = random_effects(np.array([1.0, 2.0, 3.0]), np.ones(3))
    half = stats.t.ppf(0.975, 2) / math.sqrt(3)
    assert (found.value, found.low, found.high, found.spread) == pytest.approx((2, 2 - half, 2 + half, 0))
    # w = 4: Q = 8, C = 8, tau^2 = (8 - 2) / 8 = 0.75; weights are 1 again, and q = 1
    found = random_effects(np.array([1.0, 2.0, 3.0]), np.full(3, 0.5))
    assert found.spread == pytest.approx(math.sqrt(0.75))
    assert found.high - found.value == pytest.approx(half)


def test_random_effects_are_those_of_statsmodels():
    means, errors = np.array([0.3, 1.9, 0.8, -0.7]), np.array([0.2, 0.5, 0.3, 0.4])
    found = random_effects(means, errors)
    known = combine_effects(means, errors**2, method_re="dl")
    assert found.spread**2 == pytest.approx(known.tau2)
    table = known.summary_frame()
    weights = 1 / (errors**2 + known.tau2)
    scale = (weights * (means - found.value) ** 2).sum() / 3
    assert found.value == pytest.approx(table.loc["random effect", "eff"])
    half = stats.t.ppf(0.975, 3) * math.sqrt(max(1.0, scale) / weights.sum())
    assert found.high - found.value == pytest.approx(half)


def test_means_that_happen_to_agree_give_no_narrow_interval():
    found = random_effects(np.array([1.0, 1.0, 1.0]), np.ones(3))
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 2) / math.sqrt(3))


@pytest.mark.parametrize(
    ("means", "errors"), [([1.0, 2.0], [1.0, 1.0]), ([1.0, 2.0, 3.0], [1.0, 0.0, 1.0]), ([1, 2, 3], [1, math.nan, 1])]
)
def test_too_few_studies_or_an_unknown_error_give_nothing(means, errors):
    assert math.isnan(random_effects(np.array(means, float), np.array(errors, float)).value)


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_an_interval_holds_the_mean_of_studies(spread):
    generator = np.random.default_rng(7)
    held, tries, studies, people = 0, 1000, 5, 8
    for _ in range(tries):
        centers = generator.normal(0, spread, studies)
        values = generator.normal(centers[:, None], 1, (studies, people))
        found = random_effects(values.mean(axis=1), values.std(axis=1, ddof=1) / math.sqrt(people))
        held += found.low <= 0 <= found.high
    # 950 of 1000 within three standard errors of a share, or more: the scale isn't let below 1
    assert held / tries >= 0.93


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.2, 0.6, 0.9), (0.9, 0.95, 0.9)])
def test_an_interval_holds_the_mean_share(shares):
    generator = np.random.default_rng(11)
    tries, people = 2000, 8
    held = 0
    for _ in range(tries):
        found = mean_share(list(generator.binomial(people, shares).astype(float)), [people] * 3)
        held += found.low <= np.mean(shares) <= found.high
    # of 8 people a study the exact chance steps around 95 %
    assert 0.92 <= held / tries <= 0.995
