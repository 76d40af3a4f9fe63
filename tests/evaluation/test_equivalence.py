"""Equivalence with a rescan: the tests' size at the margin, their power, Fieller's interval, and a run's table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from core.errors import InputError
from core.files import read_table, write_table
from evaluation import equivalence
from evaluation.__main__ import main
from evaluation.equivalence import equivalence_table, ratio_interval, run_equivalence, two_one_sided_tests
from evaluation.runs.finished_run import read_run
from evaluation.tables import table_equivalence
from tests.support.example_run import write_example_run

STUDIES = 10_000
"""Of so many the share called equivalent is known to 0.2 points at 5 % (one standard error)."""


def studies(people: int, ratio: float, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Differences between scanners and rescan floors (studies, people), both noisy, of a true ratio of means."""
    rng = np.random.default_rng(people)
    floors, values = rng.normal(10, deviation, (2, STUDIES, people))
    return values + 10 * (ratio - 1), floors


def called_equivalent(values: np.ndarray, floors: np.ndarray, margin: float = 0.5) -> np.ndarray:
    return np.maximum(*two_one_sided_tests(values - floors, margin * floors)) < 0.05


@pytest.mark.parametrize("people", [6, 18])
@pytest.mark.parametrize("ratio", [0.5, 1.5])
def test_at_the_margin_five_in_a_hundred_are_called_equivalent(people, ratio):
    assert called_equivalent(*studies(people, ratio, 1.0)).mean() == pytest.approx(0.05, abs=0.008)


def test_the_size_is_kept_where_people_vary_much_and_power_grows_with_n():
    assert called_equivalent(*studies(6, 1.5, 5.0)).mean() < 0.058
    alike = [called_equivalent(*studies(people, 1.0, 3.0)).mean() for people in (6, 18)]
    assert alike[0] < 0.7
    assert alike[1] > 0.95


def test_with_a_fixed_margin_the_tests_are_statsmodels():
    rng = np.random.default_rng(0)
    values, reference = rng.normal(5, 1, 9), rng.normal(4.8, 1, 9)
    p, above, below = ttost_paired(values, reference, -1.5, 1.5)
    found = two_one_sided_tests(values - reference, 1.5)
    assert (max(found), *found) == pytest.approx((p, below[1], above[1]))


def test_both_tests_reject_just_where_the_ratios_interval_lies_within_the_margins():
    values, floors = studies(8, 1.25, 2.0)
    ends = np.array([ratio_interval(value, floor) for value, floor in zip(values[:500], floors[:500], strict=True)])
    inside = (ends[:, 0] > 0.5) & (ends[:, 1] < 1.5)
    assert 50 < inside.sum() < 450
    np.testing.assert_array_equal(called_equivalent(values[:500], floors[:500]), inside)


def test_the_ratios_interval_covers_it():
    values, floors = studies(6, 1.3, 2.0)
    ends = np.array([ratio_interval(value, floor) for value, floor in zip(values[:4000], floors[:4000], strict=True)])
    covered = np.mean((ends[:, 0] <= 1.3) & (ends[:, 1] >= 1.3))
    assert covered == pytest.approx(0.9, abs=0.012)


def test_without_a_test_nothing_is_shown():
    assert np.isnan(two_one_sided_tests(np.array([0.1]), 5.0)).all()
    assert np.isnan(two_one_sided_tests(np.zeros(4), 1.0)).all()
    assert np.isnan(ratio_interval(np.array([1.0]), np.array([1.0]))).all()
    # a floor that isn't told from 0
    assert np.isnan(ratio_interval(np.array([1.0, 2.0, 3.0]), np.array([-1.0, 1.0, 0.5]))).all()


def with_rescans(run: Path, floor: float) -> Path:
    """Give an example run RAW's rescans of everyone but the first, on two scanners, differing by about so many mL."""
    rng = np.random.default_rng(0)
    people = read_table(run / "scans.tsv").subject.unique()[1:]
    rows = [
        {"method": "raw", "subject": subject, "scanner": scanner, "session_a": "1", "session_b": "2", "tissue": tissue}
        for subject in people
        for scanner in ("GE", "Trio")
        for tissue in ("CSF", "GM", "WM")
    ]
    table = pd.DataFrame(rows)
    for ending in ("", "_pve", "_hard"):
        table[f"difference_ml{ending}"] = floor * rng.choice([-1, 1], len(table)) * rng.uniform(0.9, 1.1, len(table))
        table[f"absolute_difference_ml{ending}"] = table[f"difference_ml{ending}"].abs()
    write_table(run / "metrics/rescan_volume_differences.tsv", table)
    return run


def test_a_run_with_rescans_has_its_table(tmp_path):
    run = with_rescans(write_example_run(tmp_path, subjects=6, methods=("raw", "mispel")), 5.0)
    main(["statistics", str(run), "--bootstrap", "100"])
    table = read_table(run / "statistics/equivalence.tsv")
    assert list(table.columns) == equivalence.COLUMNS
    assert set(table.n) == {5}
    row = table[(table.method == "mispel") & (table.tissue == "GM")].iloc[0]
    differences = read_table(run / "metrics/volume_differences.tsv")
    chosen = (differences.method == "mispel") & (differences.tissue == "GM") & (differences.subject != "01")
    people = differences[chosen].groupby("subject").absolute_difference_ml_pve.mean()
    assert row.difference_ml == pytest.approx(people.mean(), rel=1e-5)
    assert row.margin_ml == pytest.approx(0.5 * row.rescan_ml, rel=1e-5)
    assert row.rule == "partial-volume sum"
    rescans = read_table(run / "metrics/rescan_volume_differences.tsv").query("tissue == 'GM'")
    floors = rescans.groupby("subject").absolute_difference_ml_pve.mean()
    assert row.p_below == pytest.approx(
        stats.ttest_1samp(people - 1.5 * floors, 0, alternative="less").pvalue, rel=1e-4
    )


def test_the_table_says_floor_margin_and_verdict(tmp_path):
    run = with_rescans(write_example_run(tmp_path, subjects=6, methods=("raw", "mispel")), 5.0)
    assert table_equivalence.make(read_run(run)) is None
    volumes = run / "metrics/volumes.tsv"
    write_table(volumes, read_table(volumes).assign(engine="hmrf"))
    write_table(run / "statistics/equivalence.tsv", run_equivalence(run))
    table = table_equivalence.make(read_run(run))
    rows = table.panels[0].rows
    assert [row[:3] for row in rows] == [
        [tissue, arm, "5"] for tissue in ("GM", "WM", "CSF") for arm in ("RAW", "MISPEL")
    ]
    expected = table.data.set_index(["tissue", "label"])
    assert [row[-1] for row in rows] == [expected.loc[tuple(row[:2]), "verdict"] for row in rows]
    assert rows[0][5].mean == f"{expected.loc[('GM', 'RAW'), 'ratio']:.2f}"
    assert "within 50% of the rescan floor" in table.notes[1]


def test_what_equals_its_rescans_nearly_is_equivalent_and_what_is_twice_them_is_not():
    rng = np.random.default_rng(0)
    rescans = pd.DataFrame(
        {
            "method": "raw",
            "subject": list("abcdef"),
            "tissue": "GM",
            "absolute_difference_ml_pve": rng.uniform(8, 12, 6),
        }
    )
    arms = [
        rescans.assign(method=arm, absolute_difference_ml_pve=factor * rescans.absolute_difference_ml_pve + shift)
        for arm, factor, shift in (("same", 1.05, rng.normal(0, 0.3, 6)), ("twice", 2.0, 0.0), ("blur", 0.2, 0.0))
    ]
    table = equivalence_table(pd.concat(arms), rescans, "_pve").set_index("method")
    assert dict(table.verdict) == {"same": "equivalent", "twice": "not shown", "blur": "not shown"}
    assert table.loc["blur", "p_above"] > 0.95 > 0.05 > table.loc["blur", "p_below"]
    assert table.loc["twice", "ratio"] == pytest.approx(2)


def test_without_rescans_there_are_no_rows_and_an_old_table_is_refused(tmp_path):
    run = write_example_run(tmp_path, subjects=3, methods=("raw", "mispel"))
    main(["statistics", str(run), "--bootstrap", "100"])
    assert read_table(run / "statistics/equivalence.tsv").empty
    with_rescans(run, 5.0)
    path = run / "metrics/volume_differences.tsv"
    write_table(path, read_table(path).drop(columns="absolute_difference_ml_hard"))
    with pytest.raises(InputError, match="volume_differences.tsv: no column 'absolute_difference_ml_hard'"):
        run_equivalence(run)
