"""Change over time: measured against true, on one scanner and across an upgrade, and where nothing changed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.stats import nct
from statsmodels.stats.power import TTestPower

from evaluation.measures import change
from evaluation.measures.interface import FOLLOW_UPS
from evaluation.power import people_interval
from tests.support.measured import measured_of

SCANNERS = ("A", "B")


def rows_of(volumes, *, true=None, session=None, time=None, arm="raw"):
    """A row a scan of GM; `volumes` by (subject, scanner)."""
    rows = []
    for (subject, scanner), volume in volumes.items():
        row = {"method": arm, "subject": subject, "scanner": scanner, "tissue": "GM", "volume_ml": volume}
        row["true_volume_ml"] = math.nan if true is None else true[subject]
        rows.append(row | ({} if session is None else {"session": session, "time": time}))
    return pd.DataFrame(rows)


def test_changes_of_every_pair_against_the_true_one():
    first = rows_of({("1", "A"): 500.0, ("1", "B"): 540.0}, true={"1": 510.0})
    later = rows_of({("1", "A"): 490.0, ("1", "B"): 535.0}, true={"1": 500.0}, session="x", time=2.0)
    again = rows_of({("1", "B"): 543.0}, session="2", time=0.0)
    found = change.pairs_in_time(first, pd.concat([later, again])).set_index(["scanner_a", "scanner_b", "years"])
    assert found["change_ml"].to_dict() == {
        ("A", "A", 2.0): -10.0,
        ("A", "B", 2.0): 35.0,
        ("A", "B", 0.0): 43.0,
        ("B", "A", 2.0): -50.0,
        ("B", "B", 2.0): -5.0,
        ("B", "B", 0.0): 3.0,
    }
    assert found.loc[("A", "B", 2.0), "true_change_ml"] == -10
    assert found.loc[("A", "B", 2.0), "error_ml"] == 45
    assert found.loc[("A", "B", 2.0), "change_percent"] == pytest.approx(7)
    assert found.loc[("A", "B", 2.0), "true_change_percent"] == pytest.approx(-100 / 51)
    # nothing changed between scan and rescan, whether the truth is known or not
    assert found.loc[("A", "B", 0.0), ["true_change_ml", "error_ml"]].tolist() == [0, 43]


def test_an_unknown_truth_leaves_errors_empty():
    first = rows_of({("1", "A"): 500.0})
    found = change.pairs_in_time(first, rows_of({("1", "A"): 490.0}, session="x", time=1.0))
    assert found["change_ml"].tolist() == [-10]
    assert found[["true_change_ml", "error_ml", "error_percent"]].isna().all(axis=None)


def test_of_several_follow_ups_the_last_counts():
    first = rows_of({("1", "A"): 500.0})
    later = pd.concat([rows_of({("1", "A"): 500.0 - years}, session=f"y{years}", time=years) for years in (3.0, 1.0)])
    assert change.one_each(change.pairs_in_time(first, later))["session"].tolist() == ["y3.0"]


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 8), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_total_sd_is_that_of_all_values_with_people_and_pairs_alike_often(people, pairs, seed):
    values = np.random.default_rng(seed).normal(size=(people, pairs))
    within = values.var(axis=0, ddof=0).mean() * people / (people - 1)
    assert change.total_sd(values) ** 2 == pytest.approx(within + values.mean(axis=0).var())
    # a shift of all, and an order of people within each pair, change nothing
    assert change.total_sd(values[::-1] + 7) == pytest.approx(change.total_sd(values))
    # the same bias of every pair is no spread
    assert change.total_sd(np.repeat(values[:, :1], pairs, axis=1)) == pytest.approx(values[:, 0].std(ddof=1))


def test_total_sd_leaves_out_pairs_of_one_person():
    assert change.total_sd(np.array([[1.0, 9.0], [3.0, math.nan]])) == pytest.approx(math.sqrt(2))
    assert math.isnan(change.total_sd(np.array([[1.0, 2.0]])))


def study_of(bias_b, noise, *, people=6, shrink=1.0, seed=0):
    """Changes of people on two scanners, B reading `bias_b` mL high; true change about -10 mL."""
    random = np.random.default_rng(seed)
    subjects = [str(number) for number in range(people)]
    start = {subject: 500 + 20 * random.normal() for subject in subjects}
    later = {subject: volume - 10 + 2 * random.normal() for subject, volume in start.items()}
    own = {}
    for name, volumes in (("start", start), ("later", later), ("again", start)):
        for subject in subjects:
            for scanner in SCANNERS:
                away = bias_b * (scanner == "B") + noise * random.normal()
                own[name, subject, scanner] = start[subject] + shrink * (volumes[subject] - start[subject] + away)

    def told(name):
        return {(subject, scanner): own[name, subject, scanner] for subject in subjects for scanner in SCANNERS}

    return change.pairs_in_time(
        rows_of(told("start"), true=start),
        pd.concat(
            [
                rows_of(told("later"), true=later, session="x", time=2.0),
                rows_of(told("again"), session="2", time=0.0),
            ]
        ),
    )


def gm(summary, kind):
    """The row of GM of one kind."""
    return summary[(summary["tissue"] == "GM") & (summary["kind"] == kind)].iloc[0]


def test_a_scanners_bias_is_an_error_across_an_upgrade_alone():
    summary, by_pair = change.summaries(study_of(30.0, 0.0), ["raw"])
    same, upgrade = gm(summary, change.SAME), gm(summary, change.UPGRADE)
    assert (same["n"], same["pairs"], upgrade["pairs"]) == (6, 2, 2)
    assert same["absolute_error_ml"] == pytest.approx(0, abs=1e-9)
    assert same["false_change_ml"] == pytest.approx(0, abs=1e-9)
    assert upgrade["absolute_error_ml"] == pytest.approx(30)
    assert upgrade["pair_bias_ml"] == pytest.approx(30)
    assert upgrade["false_change_ml"] == pytest.approx(30)
    assert upgrade["change_ml"] == pytest.approx(same["change_ml"])
    biases = by_pair[by_pair["tissue"] == "GM"].set_index(["scanner_a", "scanner_b"])["bias_ml"].round(9)
    assert biases.to_dict() == {("A", "A"): 0, ("A", "B"): 30, ("B", "A"): -30, ("B", "B"): 0}
    assert same["people_needed"] == same["true_people_needed"]
    assert upgrade["people_ratio"] == upgrade["people_needed"] / same["people_needed"] > 5
    # of one upgrade whose bias is known, no more people are needed than without
    known = by_pair[(by_pair["tissue"] == "GM") & (by_pair["kind"] == change.UPGRADE)]["people_needed"]
    assert (known == same["people_needed"]).all()


def test_people_needed_are_those_of_statsmodels():
    summary, _ = change.summaries(study_of(5.0, 3.0), ["raw"])
    row = gm(summary, change.UPGRADE)
    shown = gm(summary, change.SAME)["change_ml"]
    wanted = TTestPower().solve_power(effect_size=abs(shown) / row["change_sd_ml"], alpha=0.05, power=0.8)
    assert row["people_needed"] == math.ceil(wanted)


def test_shrinking_changes_needs_no_fewer_people():
    whole, half = (change.summaries(study_of(5.0, 3.0, shrink=shrink), ["raw"])[0] for shrink in (1.0, 0.5))
    for kind in (change.SAME, change.UPGRADE):
        assert gm(half, kind)["people_needed"] == gm(whole, kind)["people_needed"]
        assert gm(half, kind)["change_sd_ml"] == pytest.approx(gm(whole, kind)["change_sd_ml"] / 2)


KINDS = {
    "one pair": (1, 0.0, 1.0, False),
    "several scanners": (3, 0.0, 1.5, False),
    "upgrades": (3, 10.0, 1.5, True),
    "noise": (3, 4.0, 20.0, False),
    "noisy upgrades": (3, 4.0, 20.0, True),
}
"""Scanners, the SD of their biases and of scans' noise in mL, and whether it is of upgrades."""


def changes_of(studies, people, kind):
    """People's changes shown (studies, people) and by pair (studies, people, pairs), and the true effect size."""
    scanners, bias_sd, noise, upgrade = KINDS[kind]
    random = np.random.default_rng(people)
    bias = bias_sd * np.random.default_rng(0).normal(size=scanners)
    own = random.normal(-10, 4, (studies, people, 1, 1))
    start, later = (bias + random.normal(0, noise, (studies, people, scanners)) for _ in range(2))
    of_pairs = own + later[:, :, None, :] - start[:, :, :, None]
    same = np.eye(scanners, dtype=bool)
    chosen = ~same if upgrade else same
    biases = (bias[None] - bias[:, None])[chosen]
    true = -10 / math.sqrt(4**2 + 2 * noise**2 + biases.var())
    return of_pairs[:, :, same].mean(axis=-1), of_pairs[:, :, chosen], true


@pytest.mark.parametrize("people", [4, 6, 18])
@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_of_people_needed_covers_them(kind, people):
    shown, values, true = changes_of(10_000, people, kind)
    low, high = change.effect_interval(shown, values)
    # the number of people needed falls with the size, so that its interval covers as this one does
    assert 0.925 < np.mean((low <= true) & (true <= high)) < 0.99
    # a study whose change isn't away from 0 can't tell how many people are needed, and says so
    untold = [math.isinf(people_interval(*ends)[1]) for ends in zip(-high[:200], -low[:200], strict=True)]
    assert (np.array(untold) >= (high[:200] > 0)).all()
    assert (kind == "noise" and people == 4) <= any(untold)


def test_people_needed_lie_within_their_interval_and_it_narrows_with_people():
    widths = []
    for people in (4, 12, 60):
        summary, by_pair = change.summaries(study_of(5.0, 3.0, people=people), ["raw"])
        for table in (summary, by_pair):
            for name in ("people_needed", "true_people_needed"):
                told = table[table["tissue"] == "GM"]
                assert (told[f"{name}_low"] <= told[name]).all()
                assert (told[name] <= told[f"{name}_high"]).all()
        row = gm(summary, change.UPGRADE)
        widths.append(row["people_needed_high"] / row["people_needed_low"])
    assert widths == sorted(widths, reverse=True)


def test_the_interval_knows_neither_unit_nor_sign_nor_order():
    shown, values, _ = changes_of(5, 6, "upgrades")
    low, high = change.effect_interval(shown, values)
    np.testing.assert_allclose(change.effect_interval(40 * shown[:, ::-1], 40 * values[:, ::-1]), (low, high))
    np.testing.assert_allclose(change.effect_interval(-shown, values), (-high, -low))


def test_of_one_pair_the_interval_is_near_the_exact_one():
    # the noncentral t's; the jackknife's goes by the sample's own kurtosis besides
    values = np.random.default_rng(3).normal(1, 1, 30)
    values = 1 + (values - values.mean()) / values.std(ddof=1)
    found = change.effect_interval(values, values[:, None])
    t = math.sqrt(30)
    exact = [optimize.brentq(lambda d, tail=tail: nct.cdf(t, 29, d * t) - tail, 0, 3) for tail in (0.975, 0.025)]
    np.testing.assert_allclose(found, exact, atol=0.1)


def test_of_two_people_it_cant_be_told_how_many_are_needed():
    summary, _ = change.summaries(study_of(5.0, 3.0, people=2), ["raw"])
    ends = summary[summary["tissue"] == "GM"][["people_needed_low", "people_needed_high", "true_people_needed_low"]]
    assert ends.isna().all(axis=None)
    assert gm(summary, change.SAME)["people_needed"] >= 2


def test_people_who_were_followed_up_elsewhere_count_for_the_spread_alone():
    # six people stayed on their scanner, five others moved: no one of either is left out for the other's sake
    changes = study_of(5.0, 3.0, people=11)
    first = changes["subject"].astype(int) < 6
    same = changes["scanner_a"] == changes["scanner_b"]
    row = gm(change.summaries(changes[first == same], ["raw"])[0], change.UPGRADE)
    assert row["n"] == 5
    assert row["people_needed_low"] < row["people_needed"] < row["people_needed_high"]


def test_where_nothing_changes_there_is_nothing_to_see():
    by_person = pd.Series([-1.0, -2.0, -1.5, 0.2], index=list("abcd"))
    found = change.people_to_see(by_person, by_person.to_frame(), 0.0, "people_needed")
    assert all(math.isnan(value) for value in found.values())
    assert list(found) == ["people_needed", "people_needed_low", "people_needed_high"]


def test_a_change_that_is_shown_the_wrong_way_round_is_never_seen():
    summary, _ = change.summaries(study_of(5.0, 0.5, shrink=-1.0), ["raw"])
    assert math.isnan(gm(summary, change.SAME)["people_needed"])
    assert gm(summary, change.SAME)["absolute_error_ml"] > 10
    # and surely so, which noise that outdoes the change wouldn't be
    assert gm(summary, change.SAME)[["people_needed_low", "people_needed_high"]].tolist() == [math.inf, math.inf]
    noisy = gm(change.summaries(study_of(5.0, 40.0, shrink=-1.0), ["raw"])[0], change.SAME)
    assert math.isfinite(noisy["people_needed_low"])
    assert math.isinf(noisy["people_needed_high"])


def tables(*, arms=("raw",), with_later=("raw",)):
    """`metrics/` of two people on two scanners, with one rescan and a follow-up."""
    start = {("1", "A"): 500.0, ("1", "B"): 530.0, ("2", "A"): 600.0, ("2", "B"): 640.0}

    def by_rule(rows):
        return rows.rename(columns={"volume_ml": "volume_ml_pve"}).assign(volume_ml=1.0, volume_ml_hard=2.0)

    first = pd.concat([rows_of(start, true={"1": 510.0, "2": 610.0}, arm=arm) for arm in arms])
    later = pd.concat(
        [
            rows_of(
                {key: volume - 6 for key, volume in start.items()},
                true={"1": 504.0, "2": 604.0},
                session="x",
                time=1.0,
                arm=arm,
            )
            for arm in with_later
        ]
    )
    again = rows_of({("1", "A"): 503.0}, session="2", time=0.0)
    return {
        "volumes": by_rule(first.drop(columns="true_volume_ml")),
        "rescan_volumes": by_rule(again.drop(columns=["time", "true_volume_ml"])),
        "truth": first[["method", "subject", "scanner", "tissue", "true_volume_ml"]],
        FOLLOW_UPS: by_rule(later),
    }


class OfScanners:
    """What of a study is asked."""

    def __init__(self, left_out=""):
        self.left_out = left_out


def test_tables_of_a_study_by_the_main_rule():
    found = change.of_study(measured_of(OfScanners(), ["raw"], tables()))
    assert set(found) == {"changes", "change_by_pair", "change"}
    changes = found["changes"]
    assert (changes["rule"] == "partial-volume sum").all()
    assert len(changes[changes["years"] > 0]) == 8
    assert len(changes[changes["years"] == 0]) == 2
    summary = found["change"]
    assert gm(summary, change.SAME)["absolute_error_ml"] == 0
    assert gm(summary, change.SAME)["false_change_ml"] == 3
    assert gm(summary, change.UPGRADE)["absolute_error_ml"] == pytest.approx(35)


def test_an_arm_without_follow_ups_has_rows_that_say_so():
    found = change.of_study(measured_of(OfScanners(), ["raw", "files"], tables(arms=("raw", "files"))))["change"]
    assert (found[found["method"] == "files"]["n"] == 0).all()
    assert found[found["method"] == "files"]["people_needed"].isna().all()
    assert (found[(found["method"] == "raw") & (found["tissue"] == "GM")]["n"] == 2).all()


def test_of_a_scanner_left_out_its_pairs_are_told():
    found = change.of_study(measured_of(OfScanners("B"), ["raw"], tables()))["changes"]
    assert set(zip(found["scanner_a"], found["scanner_b"], strict=True)) == {("A", "B"), ("B", "A"), ("B", "B")}


def test_a_study_without_follow_ups_has_no_such_tables():
    without = tables()
    nothing = without | {FOLLOW_UPS: without[FOLLOW_UPS].head(0)}
    assert change.of_study(measured_of(OfScanners(), ["raw"], nothing)) == {}
    del without[FOLLOW_UPS]
    assert change.of_study(measured_of(OfScanners(), ["raw"], without)) == {}
