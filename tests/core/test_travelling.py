"""Travelling people, divided into those who judge a learning curve and those it learns from."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.travelling import divided, drawn, travelling

PEOPLE = [f"{number:02d}" for number in range(1, 11)]


def test_who_misses_a_scanner_does_not_travel():
    scans = [*itertools.product(["03", "01", "02"], ["A", "B"]), ("04", "B"), ("01", "A")]
    assert travelling(scans) == ["03", "01", "02"]
    # a scanner that one person alone was on leaves that person
    assert travelling([*scans, ("02", "C")]) == ["02"]
    assert travelling([]) == []


@given(st.integers(1, 9), st.integers(0, 5))
def test_the_judged_are_others_than_those_learned_from(held_out, seed):
    judged, pool = divided(PEOPLE, held_out, seed=seed)
    assert len(judged) == held_out
    assert sorted(judged + pool) == PEOPLE
    assert judged == sorted(judged)
    assert divided(PEOPLE, held_out, seed=seed) == (judged, pool)


@given(st.integers(0, 5), st.integers(1, 4))
def test_a_draws_people_are_nested(seed, draw):
    each = [drawn(PEOPLE, count, draw, seed=seed) for count in range(1, len(PEOPLE) + 1)]
    assert [len(people) for people in each] == list(range(1, len(PEOPLE) + 1))
    for fewer, more in itertools.pairwise(each):
        assert set(fewer) < set(more)
    assert each[-1] == PEOPLE
    assert all(people == sorted(people) for people in each)


def test_draws_and_seeds_are_others():
    found = {(draw, seed): tuple(drawn(PEOPLE, 4, draw, seed=seed)) for draw in (1, 2, 3) for seed in (0, 1)}
    assert len(set(found.values())) == 6


@pytest.mark.parametrize("held_out", [0, 10, 11])
def test_nobody_to_judge_or_to_learn_from_is_refused(held_out):
    with pytest.raises(InputError, match=f"held_out is {held_out}, and 10 people were scanned on every scanner"):
        divided(PEOPLE, held_out, seed=0)


def test_more_than_there_are_are_refused():
    with pytest.raises(InputError, match="learning.people asks for 11, and 10 are left to learn from; take fewer"):
        drawn(PEOPLE, 11, 1, seed=0)
