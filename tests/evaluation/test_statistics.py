"""Paired tests against RAW: what scipy gives, and what must never be a star."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from core.files import read_table, write_table
from evaluation.measures.registry import find
from evaluation.statistics import COLUMNS, adjusted, paired_test, paired_tests, run_statistics
from tests.support.example_run import write_example_run

PAIRS = [("GE", "Philips"), ("GE", "Trio"), ("Philips", "Trio")]


def values(effects: dict[str, float], subjects: int = 18, tissues: tuple[str, ...] = ("GM", "WM")) -> pd.DataFrame:
    """Values by method, its mean shifted by the given effect against noise of SD 1."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "method": method,
            "subject": f"{subject:02d}",
            "scanner_a": scanner_a,
            "scanner_b": scanner_b,
            "tissue": tissue,
            "value": 30 + effect + rng.standard_normal(),
        }
        for method, effect in effects.items()
        for subject in range(subjects)
        for scanner_a, scanner_b in PAIRS
        for tissue in tissues
    ]
    return pd.DataFrame(rows)


def test_a_test_is_scipys():
    a, b = np.random.default_rng(1).standard_normal((2, 18))
    found = paired_test(a, b)
    expected = stats.ttest_rel(a, b)
    assert (found.t, found.p, found.df) == (expected.statistic, expected.pvalue, 17)
    assert found.dz == pytest.approx(expected.statistic / np.sqrt(18))
    assert found.mean_difference == pytest.approx(np.mean(a - b))
    assert found.wilcoxon_p == stats.wilcoxon(a, b).pvalue


def test_the_family_is_all_tissues_pairs_and_methods_but_raw():
    table = paired_tests(values({"raw": 0, "ws": -0.3, "mispel": -2}), find("volume_difference"), PAIRS)
    assert list(table.columns) == COLUMNS
    assert len(table) == 3 * 2 * 3
    tested = table[table.method != "raw"]
    np.testing.assert_allclose(tested.p_holm, multipletests(tested.p, method="holm")[1])
    np.testing.assert_allclose(tested.p_bh, multipletests(tested.p, method="fdr_bh")[1])
    assert set(tested.n) == {18}
    assert set(tested.df) == {17}
    assert set(tested.loc[tested.method == "mispel", "significant"]) == {"yes"}


def test_raw_against_raw_is_not_applicable(tmp_path):
    table = paired_tests(values({"raw": 0, "ws": -2}), find("volume_difference"), PAIRS)
    write_table(tmp_path / "tests.tsv", table)
    raw = [line.split("\t") for line in (tmp_path / "tests.tsv").read_text().splitlines() if "\traw\traw\t" in line]
    places = [COLUMNS.index(c) for c in ("t", "df", "p", "p_holm", "p_bh", "dz", "better", "significant", "wilcoxon_p")]
    assert len(raw) == 6
    for cells in raw:
        assert [cells[place] for place in places] == ["n/a"] * len(places)
        assert cells[COLUMNS.index("n")] == "18"


@pytest.mark.parametrize(("measure", "better_sign"), [("volume_difference", -1), ("ssim", 1), ("dice", 1)])
def test_only_a_change_for_the_better_is_starred(measure, better_sign):
    table = paired_tests(values({"raw": 0, "up": 3, "down": -3}), find(measure), PAIRS).set_index("method")
    good, bad = ("up", "down") if better_sign > 0 else ("down", "up")
    assert (table.loc[bad, "p"] < 0.001).all()
    assert set(table.loc[bad, "better"]) == set(table.loc[bad, "significant"]) == {"no"}
    assert set(table.loc[good, "better"]) == set(table.loc[good, "significant"]) == {"yes"}


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_rows_changes_no_p(seed):
    ordered = values({"raw": 0, "ws": -0.3}, subjects=7, tissues=("GM",))
    shuffled = pd.concat([part.sample(frac=1, random_state=seed) for _, part in ordered.groupby("method", sort=False)])
    pd.testing.assert_frame_equal(
        paired_tests(ordered, find("dice"), PAIRS), paired_tests(shuffled, find("dice"), PAIRS), check_exact=True
    )


def test_a_missing_subject_shows_in_n_and_pairs_the_others():
    table = values({"raw": 0, "ws": -1})
    gone = (table.method == "ws") & (table.subject == "03") & (table.scanner_a == "GE")
    found = paired_tests(table[~gone], find("dice"), PAIRS)
    assert list(found[found.method == "ws"].n) == [17, 17, 18] * 2
    assert list(found[found.method == "raw"].n) == [18] * 6
    ws = table[(table.method == "ws") & ~gone].query("tissue == 'GM' and scanner_b == 'Philips'")
    raw = table.query("method == 'raw' and tissue == 'GM' and scanner_b == 'Philips' and subject != '03'")
    assert found[found.method == "ws"].iloc[0].p == stats.ttest_rel(ws.value.to_numpy(), raw.value.to_numpy()).pvalue


def test_a_value_that_is_not_a_number_drops_its_subject():
    found = paired_test(np.array([1.0, np.nan, 2, 4]), np.array([0.0, 1, 1, np.nan]))
    assert found.n == 2


@pytest.mark.parametrize(
    ("method", "reference"),
    [
        ([1.0], [2.0]),
        ([], []),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        ([1.1, 2.1, 3.1], [1.0, 2.0, 3.0]),
        ([0.800001, 0.700001, 0.900001], [0.8, 0.7, 0.9]),
    ],
)
def test_no_test_without_differences_that_vary(method, reference):
    found = paired_test(np.array(method), np.array(reference))
    assert found.n == len(method)
    assert np.isnan(found.n_for_10_percent)
    assert all(np.isnan([found.t, found.df, found.p, found.dz, found.wilcoxon_p]))


@pytest.mark.parametrize("subjects", [1, 5])
def test_a_method_that_differs_from_raw_by_a_constant_gets_no_star(subjects):
    raw = values({"raw": 0}, subjects=subjects)
    tests = paired_tests(pd.concat([raw, raw.assign(method="ws", value=raw.value + 0.1)]), find("ssim"), PAIRS)
    assert len(tests) == 12
    assert set(tests.significant) == set(tests.better) == {"n/a"}


def test_without_raw_there_is_no_test():
    tests = paired_tests(values({"ws": 0, "mispel": 3}), find("ssim"), PAIRS)
    assert set(tests.significant) == {"n/a"}
    assert tests.p.isna().all()
    assert tests.p_holm.isna().all()


def test_adjustment_leaves_out_what_was_not_tested():
    p = np.array([0.01, np.nan, 0.04])
    np.testing.assert_allclose(adjusted(p, "holm"), [0.02, np.nan, 0.04])
    assert np.isnan(adjusted(np.array([np.nan]), "fdr_bh")).all()


def test_the_statistics_of_a_run_hold_the_papers_measures(tmp_path):
    run = write_example_run(tmp_path, missing=[("02", "GE")])
    ssim = read_table(run / "metrics/ssim.tsv").assign(pearson=0.5)
    write_table(run / "metrics/ssim.tsv", ssim)
    pairs = [("GE", "Philips"), ("GE", "Prisma")]
    table = run_statistics(run, pairs)
    assert set(table.measure) >= {"ssim", "volume_difference", "dice"}
    assert set(table[table.measure == "ssim"].tissue) == {"n/a"}
    assert list(table[table.measure == "dice"].tissue.unique()) == ["CSF", "GM", "WM"]
    assert set(table.n) == {4}
    assert set(table[table.measure == "pearson"].significant) == {"n/a"}
    by_hand = ssim[(ssim.scanner_a == "GE") & (ssim.scanner_b == "Prisma")].set_index("method").ssim
    row = table.query("measure == 'ssim' and method == 'mispel' and scanner_b == 'Prisma'").iloc[0]
    assert row.p == pytest.approx(stats.ttest_rel(by_hand["mispel"].to_numpy(), by_hand["raw"].to_numpy()).pvalue)
    assert row["mean"] == pytest.approx(by_hand["mispel"].mean())
