"""The summary on constructed measures with known scores, power beside the tests, and their tables and figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from core.files import read_table, write_table, write_text
from evaluation.__main__ import main
from evaluation.figures import draw_one, figure_bland_altman, figure_summary
from evaluation.measures import registry
from evaluation.power import people_needed
from evaluation.report import content
from evaluation.runs.finished_run import read_run
from evaluation.summary import over_people, ranks, run_summary, values_by_person
from tests.support.example_run import write_example_run

PEOPLE = [f"{number:02d}" for number in range(1, 7)]
DICE = {"raw": 0.5, "good": 0.7, "bad": 0.4, "oracle": 0.9, "cohort_mean": 0.95}
KEPT = {"raw": 0.3, "good": 0.3, "bad": 0.2, "oracle": 0.3, "cohort_mean": 0.0}


def write_run(folder: Path, arms: list[str]) -> Path:
    """A run of made-up Dice and identification, the same for every person but for what all arms share."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.02, len(PEOPLE))
    rows = {"dice": [], "identification": [], "volumes": []}
    for arm in arms:
        for person, shift in zip(PEOPLE, shared, strict=True):
            pair = {"method": arm, "subject": person, "scanner_a": "A", "scanner_b": "B"}
            rows["dice"] += [{**pair, "tissue": tissue, "dice": DICE[arm] + shift} for tissue in ("GM", "WM")]
            rows["identification"].append({**pair, "identity_margin": KEPT[arm]})
            scan = {"method": arm, "subject": person, "tissue": "GM"}
            rows["volumes"] += [{**scan, "scanner": scanner, "volume_ml": 500.0} for scanner in "AB"]
    for name, found in rows.items():
        write_table(folder / "metrics" / f"{name}.tsv", pd.DataFrame(found))
    controls = ["yes" if arm in ("oracle", "cohort_mean") else "no" for arm in arms]
    told = {"arm": arms, "method": arms, "label": arms, "citation": "", "limits": "", "control": controls}
    write_table(folder / "arms.tsv", pd.DataFrame(told))
    return folder


def summary_of(folder: Path, measure: str) -> pd.DataFrame:
    table = run_summary(folder, resamples=200)
    return table[table["measure"] == measure].set_index("method")


def test_scores_run_from_raw_to_the_oracle(tmp_path):
    dice = summary_of(write_run(tmp_path, list(DICE)), "dice")
    assert dict(dice["score"].round(6)) == {"raw": 0, "good": 0.5, "bad": -0.25, "oracle": 1, "cohort_mean": 1.125}
    assert set(dice["one_is"]) == {"oracle"}
    assert set(dice["n"]) == {6}
    # what all arms share cancels in the scores, not in the values
    np.testing.assert_allclose(dice["score_high"] - dice["score_low"], 0, atol=1e-9)
    assert (dice["ci_low"] < dice["value"]).all()
    assert (dice["value"] < dice["ci_high"]).all()


def test_without_an_oracle_one_is_the_best_there_can_be(tmp_path):
    folder = write_run(tmp_path, ["raw", "good"])
    dice = summary_of(folder, "dice")
    expected = (dice.loc["good", "value"] - dice.loc["raw", "value"]) / (1 - dice.loc["raw", "value"])
    assert dice.loc["good", "score"] == pytest.approx(expected)
    assert set(dice["one_is"]) == {"best possible"}
    assert set(summary_of(folder, "identity_margin")["one_is"]) == {"RAW"}


def test_a_cheat_loses_what_is_to_be_kept_and_controls_have_no_rank(tmp_path):
    kept = summary_of(write_run(tmp_path, list(DICE)), "identity_margin")
    assert kept.loc["cohort_mean", "score"] == pytest.approx(0, abs=1e-5)
    assert kept.loc["raw", "score"] == 1
    assert kept["rank"].dropna().to_dict() == {"raw": 1.5, "good": 1.5, "bad": 3}
    assert set(kept["ranked"]) == {3}


def test_where_the_oracle_gains_nothing_there_is_no_scale(tmp_path, monkeypatch):
    monkeypatch.setitem(DICE, "oracle", 0.45)
    assert summary_of(write_run(tmp_path, list(DICE)), "dice")["score"].isna().all()


def test_gaps_are_left_out_of_means_and_people_with_gaps_of_functions():
    table = pd.DataFrame(
        {
            "method": ["raw"] * 5,
            "subject": ["1", "1", "2", "3", "3"],
            "scanner": ["A", "B", "A", "A", "B"],
            "volume": [1.0, 3.0, 5.0, 7.0, 9.0],
        }
    )
    values = values_by_person(table, "volume", ["raw", "failed"])
    assert values.shape == (2, 3, 2, 1)
    means, people = over_people(values, None, seed=0, resamples=50)
    assert len(people) == 3
    assert means[0, 0] == pytest.approx((2 + 5 + 8) / 3)
    # then without each of them
    assert list(means[0, 1:4]) == pytest.approx([6.5, 5, 3.5])
    assert np.isnan(means[1]).all()
    spans, people = over_people(values, lambda v: np.ptp(v, axis=(-3, -2, -1)), seed=0, resamples=50)
    assert list(people) == [0, 2]
    assert spans[0, 0] == 8


def test_ranks_share_ties_and_stop_at_what_raw_has():
    values = np.array([[0.9], [1.2], [0.5], [np.nan]])
    assert list(ranks(registry.find("identity_margin"), values, np.array([0.9]))[:3, 0]) == [1.5, 1.5, 3]
    assert list(ranks(registry.find("dice"), values, np.array([0.9]))[:3, 0]) == [2, 1, 3]
    assert np.isnan(ranks(registry.find("dice"), values, np.array([0.9]))[3, 0])


@settings(deadline=None, max_examples=30)
@given(st.floats(0.02, 3))
def test_people_needed_are_those_of_statsmodels(size):
    people = people_needed(size, 1.0)
    assert people >= 2
    assert TTestPower().power(size, people, 0.05) >= 0.8
    assert people == 2 or TTestPower().power(size, people - 1, 0.05) < 0.8


def test_people_needed_without_an_answer():
    assert np.isnan(people_needed(0.0, 1.0))
    assert np.isnan(people_needed(1.0, 0.0))
    assert np.isnan(people_needed(1, 1e6))
    assert people_needed(1.0, 1e-6) == 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """An example run with a summary, its agreement and its power."""
    folder = write_example_run(tmp_path_factory.mktemp("summary"), subjects=4)
    path = folder / "metrics/volumes.tsv"
    write_table(path, read_table(path).assign(engine="hmrf"))
    differences = read_table(folder / "metrics/volume_differences.tsv")
    keys = ["method", "scanner_a", "scanner_b", "tissue"]
    found = differences.groupby(keys, sort=False)["difference_ml_pve"].agg(bias_ml="mean", sd_ml="std").reset_index()
    found["rule"] = "partial-volume sum"
    found["limit_low_ml"], found["limit_high_ml"] = found.bias_ml - 2 * found.sd_ml, found.bias_ml + 2 * found.sd_ml
    write_table(folder / "metrics/bland_altman.tsv", found)
    main(["statistics", str(folder), "--bootstrap", "100"])
    main(["tables", str(folder)])
    return folder


@pytest.mark.slow
def test_the_summary_and_the_power_have_their_tables(finished):
    text = (finished / "tables/table_summary.md").read_text()
    assert "Scanners' differences removed" in text
    assert "Simulated" in text
    assert "no total" in text
    data = read_table(finished / "tables/table_summary.tsv")
    assert set(data["method"]) == {"raw", "whitestripe", "ravel", "mispel"}
    assert {"dice", "icc"} <= set(data["measure"])
    power = read_table(finished / "tables/table_power.tsv")
    tests = read_table(finished / "statistics/paired_tests.tsv")
    of = tests[(tests.measure == "dice") & (tests.tissue == "GM") & (tests.method == "mispel")]
    row = power[(power.measure == "dice") & (power.tissue == "GM") & (power.method == "mispel")].iloc[0]
    assert row.people_median == of.n_for_10_percent.median()
    assert row.n == 4


@pytest.mark.slow
def test_the_summarys_figure_and_that_of_agreement_are_drawn_alike_each_time(finished):
    run = read_run(finished)
    for name in ("figure_summary", "figure_bland_altman"):
        first = [path.read_bytes() for path in draw_one(run.folder, name)]
        assert len(first) == 3
        assert first == [path.read_bytes() for path in draw_one(run.folder, name)]


def test_costs_stand_beside_scores(finished):
    found = content.costs(read_run(finished))
    assert [row["label"] for row in found["rows"]] == ["RAW", "WS", "RAVEL", "MISPEL"]
    assert found["rows"][0]["fit"] == "1.5"
    assert found["rows"][0]["device"] == "cpu"
    assert not found["rows"][0]["processor"]
    place = found["measures"].index("Dice")
    assert found["rows"][0]["scores"][place] == "0.00"
    assert found["rows"][3]["scores"][place] not in ("", "0.00")
    write_text(finished / "logs/fit/raw.log", 'said\ncost: {"seconds": 2.0, "cpu_s": 1.25, "peak_mb": 99.0}\n')
    assert content.costs(read_run(finished))["rows"][0]["processor"] == "1.2"
    told = {"step": "fit", "arm": "RAW", "jobs": "1", "seconds": "2.0", "processor": "1.2", "peak": "99"}
    assert content.jobs(read_run(finished)) == [told]


def test_a_run_without_a_summary_has_no_figure_of_it(tmp_path):
    run = read_run(write_example_run(tmp_path, subjects=2))
    assert figure_summary.make(run) is None
    assert figure_bland_altman.make(run) is None


def test_without_partial_volumes_the_hard_label_stands_in(tmp_path):
    folder = write_example_run(tmp_path, subjects=3)
    assert "volume_difference_pve" in set(run_summary(folder)["measure"])
    path = folder / "metrics" / "volume_differences.tsv"
    table = read_table(path)
    write_table(path, table.assign(absolute_difference_ml_pve=np.nan))
    found = set(run_summary(folder)["measure"])
    assert "volume_difference_hard" in found
    assert "volume_difference_pve" not in found
