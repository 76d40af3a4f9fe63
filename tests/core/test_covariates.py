"""Covariates: numbers, text, or an error that names the scan, the column and the cell; one reading for all."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.covariates import Cell, read_covariate
from core.errors import InputError
from core.tables import as_number, is_missing

MISSING = ["", "n/a", "N/A", "NA", "na", "nan", "NaN", "NULL", "#N/A", " n/a "]
HOSTILE = [
    "89+",
    "61,5",
    "1,234.5",
    "inf",
    "-Infinity",
    "1e999",
    "1_000",
    "٦١",
    "\u22125",
    "none",
    "AD",
    "ad",
    "A D",
    "x",
]
texts = st.one_of(st.sampled_from(MISSING), st.sampled_from(HOSTILE), st.floats().map(str), st.text(max_size=5))


def column(values: list[str]):
    return read_covariate("age", [Cell(f"row {place}", str(place // 2), text) for place, text in enumerate(values)])


@settings(max_examples=300, deadline=None)
@example(["67", "61", "89+", "70"])
@example(["61,5", "62,5"])
@given(st.one_of(st.lists(texts, max_size=6), st.lists(st.one_of(st.integers().map(str), st.sampled_from(MISSING)))))
def test_a_column_is_numbers_or_text_or_an_error_that_names_a_cell(values):
    try:
        found = column(values)
    except InputError as error:
        assert any(str(error).startswith(f"row {place}: age is") for place in range(len(values)))
        return
    assert len(found.cells) == len(values)
    known = [value for value in values if not is_missing(value)]
    if found.numbers is not None:
        for value, number in zip(values, found.numbers, strict=True):
            assert math.isnan(number) if is_missing(value) else number == float(value)
        return
    assert [text for text in found.texts if text] == known
    for value in known:
        with pytest.raises(ValueError, match="could not convert"):
            float(value.replace(",", "."))


def test_whatever_stands_for_nothing_is_missing_alike():
    for word in MISSING:
        found = column(["61", word, "70.5", "1e2"])
        assert found.numbers is not None
        assert math.isnan(found.numbers[1])
        assert found.numbers[2:] == (70.5, 100.0)
        assert column(["AD", word]).texts == ("AD", "")
        with pytest.raises(InputError, match="row 1: age is .*, which is no value"):
            found.check_complete()
    assert column(["none", "AD"]).texts == ("none", "AD")
    assert not column(["", "n/a"]).is_numeric


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["67", "61", "89+", "70"], "row 2: age is '89+', where 3 of 4 cells are numbers; write a number as 61.5"),
        (["AD", "HC", "3", "AD"], "row 2: age is the number '3', where 3 of 4 cells are words"),
        (["61,5", "62,5"], "row 0: age is '61,5'; write a number as 61.5, and n/a"),
        (["1", "inf"], "row 1: age is 'inf'; write a number"),
        (["M", "m"], "row 1: age is 'm', and 'M' in row 0, which look alike"),
        (["AD", "A\u200bD"], r"row 1: age is 'A\u200bD', and 'AD' in row 0"),
    ],
)
def test_what_cannot_be_told_is_refused_with_its_cell(values, message):
    with pytest.raises(InputError) as caught:
        column(values)
    assert message in str(caught.value)


def test_a_number_beyond_its_range_is_refused_with_its_cell():
    found = column(["61", "n/a", "-999"])
    found.check_range(-1000, 61, "mend it")
    column(["AD", "HC"]).check_range(0, 1, "mend it")
    with pytest.raises(InputError, match="row 2: age is '-999', not from 0 to 130; mend it"):
        found.check_range(0, 130, "mend it")


def test_a_persons_value_is_the_mean_age_or_the_one_word():
    assert column(["61", "62", "n/a", "70", "n/a", ""]).of_people() == {"0": 61.5, "1": 70.0}
    assert column(["AD", "AD", "n/a", "HC"]).of_people() == {"0": "AD", "1": "HC"}
    with pytest.raises(InputError, match="row 3: age of subject '1' is 'MCI', and 'HC' in row 2; give one value"):
        column(["AD", "AD", "HC", "MCI"]).of_people()


@settings(deadline=None)
@given(st.text(max_size=8))
def test_a_number_is_what_is_written_as_one(text):
    number = as_number(text)
    assert number is None or (math.isfinite(number) and number == float(text) and set(text) <= set("0123456789.eE+-"))
