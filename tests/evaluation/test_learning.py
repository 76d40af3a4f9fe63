"""A learning curve's arithmetic, with oracles, its sentences and its figure."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.names import RAW
from evaluation.figures.learning import plot
from evaluation.learning import Curve, Trial, answers, enough_people, summary_table, trial_table
from evaluation.measures.volumes import volume_differences
from evaluation.verdicts.endpoints import Endpoint, candidates

PAIRS = [("A", "B")]
SIZES = {"01": 500.0, "02": 540.0, "03": 590.0, "04": 620.0}
RAW_ERRORS = {"01": 10.0, "02": 14.0, "03": 9.0, "04": 13.0}
LABELS = {"combat": "ComBat", "bound": "Bound"}


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_enough_is_the_first_from_which_on_all_are_sure(surely):
    people = [2 * place + 2 for place in range(len(surely))]
    expected = next((count for place, count in enumerate(people) if all(surely[place:])), None)
    assert enough_people(people, surely) == expected


def volumes_of(method: str, errors: dict[str, float]) -> list[dict]:
    """A person's gray matter as two scanners show it, so many mL apart."""
    return [
        {
            "method": method,
            "subject": subject,
            "scanner": scanner,
            "tissue": "GM",
            "volume_ml_pve": SIZES[subject] + off,
        }
        for subject, error in errors.items()
        for scanner, off in (("A", error / 2), ("B", -error / 2))
    ]


def curve_of(errors: dict[str, dict[str, float]], trials: dict[str, Trial]) -> Curve:
    """A curve of volumes, of errors by trial and person."""
    rows = [row for name, own in ({RAW: RAW_ERRORS} | errors).items() for row in volumes_of(name, own)]
    volumes = pd.DataFrame(rows)
    tables = {"volumes": volumes, "volume_differences": volume_differences(volumes, PAIRS)}
    endpoint = Endpoint(candidates()["volume_difference_pve"], "GM", primary=True)
    return Curve(trials, {"combat": "volumes", "bound": "images"}, tables, endpoint, rescan=2.5)


@pytest.fixture
def curve() -> Curve:
    """ComBat's two draws of 2 people, one of them worse than RAW, its one of 4, and an arm that isn't applicable."""
    made = {
        "combat/people-2_draw-1": {"01": 4.0, "02": 5.0, "03": 6.0, "04": 7.0},
        "combat/people-2_draw-2": {"01": 12.0, "02": 15.0, "03": 10.0, "04": 16.0},
        "combat/people-4_draw-1": {"01": 3.0, "02": 4.0, "03": 2.0, "04": 3.0},
    }
    trials = {
        "combat/people-2_draw-1": Trial("combat", 2, 1, ("05", "06"), "ok", ""),
        "combat/people-2_draw-2": Trial("combat", 2, 2, ("06", "07"), "ok", ""),
        "combat/people-4_draw-1": Trial("combat", 4, 1, ("05", "06", "07", "08"), "ok", ""),
        "bound/people-2_draw-1": Trial("bound", 2, 1, ("05", "06"), "not_applicable", "at step fit: it can't"),
    }
    return curve_of(made, trials)


def test_a_trials_gain_is_students_over_the_held_out_people(curve):
    table = trial_table(curve).set_index(["arm", "people", "draw"])
    row = table.loc["combat", 2, 1]
    gained = np.array([6.0, 9.0, 3.0, 6.0])
    assert row["gain"] == pytest.approx(6.0)
    expected = stats.t.interval(0.95, 3, loc=gained.mean(), scale=stats.sem(gained))
    assert (row["gain_low"], row["gain_high"]) == pytest.approx(expected)
    assert (row["value"], row["raw"], row["rescan"], row["n"]) == pytest.approx((5.5, 11.5, 2.5, 4))
    assert row["learned_from"] == "05,06"
    # the volumes' covariance over people of two scanners, of a person's size s and error e: cov(s + e/2, s - e/2)
    sizes, of_arm, of_raw = (np.array(list(x)) for x in (SIZES.values(), [4, 5, 6, 7], RAW_ERRORS.values()))
    shares = [np.cov(sizes + error / 2, sizes - error / 2)[0, 1] for error in (of_arm, of_raw)]
    assert row["kept_share"] == pytest.approx(shares[0] / shares[1])
    assert 0.9 < row["icc"] < 1
    lost = table.loc["bound", 2, 1]
    assert (lost["status"], lost["reason"], lost["n"]) == ("not_applicable", "at step fit: it can't", 0)
    assert math.isnan(lost["gain"])


def test_a_points_gain_is_over_people_and_draws(curve):
    summary = summary_table(curve, trial_table(curve))
    assert summary["arm"].tolist() == [RAW, "combat", "combat", "bound"]
    row = summary.iloc[1]
    # gains by person: draw 1 6, 9, 3, 6 and draw 2 -2, -1, -1, -3
    over_draws = np.array([[6, 9, 3, 6], [-2, -1, -1, -3]], dtype=float)
    parts = over_draws.mean(axis=0).var(ddof=1) / 4, over_draws.mean(axis=1).var(ddof=1) / 2
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 1)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert (row["gain"], row["gain_low"], row["gain_high"]) == pytest.approx((2.125, 2.125 - half, 2.125 + half))
    assert (row["value"], row["value_sd"]) == pytest.approx((9.375, math.sqrt(0.5 * 7.75**2)))
    assert (row["planned_draws"], row["draws"], row["n"], row["surely"]) == (2, 2, 4, "no")
    last = summary.iloc[2]
    gained = np.array([7.0, 10.0, 7.0, 10.0])
    assert (last["gain"], last["gain_low"]) == pytest.approx(
        (8.5, stats.t.interval(0.95, 3, 8.5, stats.sem(gained))[0])
    )
    assert last["surely"] == "yes"
    assert summary["enough_people"].iloc[1:3].tolist() == [4, 4]
    assert math.isnan(summary["enough_people"].iloc[3])
    assert summary.iloc[0][["value", "raw", "rescan"]].tolist() == pytest.approx([11.5, 11.5, 2.5])


def test_a_fit_without_numbers_is_told_and_makes_nothing_sure(curve):
    failed = Trial("combat", 4, 1, (), "failed", "at step fit: ValueError: x")
    trials = {**curve.trials, "combat/people-4_draw-1": failed}
    broken = curve_of({"combat/people-2_draw-1": {"01": 4.0, "02": 5.0, "03": 6.0, "04": 7.0}}, trials)
    rows = trial_table(broken)
    assert rows["status"].tolist() == ["ok", "ok", "failed", "not_applicable"]
    summary = summary_table(broken, rows)
    # one of two draws gave numbers, and its gain is above 0: still not sure
    assert summary.iloc[1][["draws", "planned_draws", "surely"]].tolist() == [1, 2, "not known"]
    assert summary.iloc[1]["gain_low"] > 0
    assert summary.iloc[2][["draws", "surely"]].tolist() == [0, "not known"]
    assert answers(summary, LABELS) == [
        "ComBat surely gains over RAW not within the people there are (4), and keeps the person not within the people "
        "there are (4); 1 of 3 fits gave nothing (at step fit: ValueError: x).",
        "Bound isn't applicable (at step fit: it can't).",
    ]


def test_the_figure_shows_what_gave_nothing(curve):
    trials = trial_table(curve)
    summary = summary_table(curve, trials)
    told = answers(summary, LABELS)
    assert told == [
        "ComBat surely gains over RAW from 4 people on, and keeps the person from 2 people on.",
        "Bound isn't applicable (at step fit: it can't).",
    ]
    figure = plot(summary, trials, labels=LABELS, endpoint=curve.endpoint, simulated=True, notes=told)
    words = " ".join(" ".join(text.get_text().split()) for text in figure.texts)
    assert (
        "ComBat surely gains over RAW from 4 people on, and keeps the person from 2 people on. Bound isn't applicable"
        in words
    )
    left, right = figure.axes
    crosses = [line for line in left.lines if line.get_marker() == "x"]
    assert len(crosses) == 1
    assert [float(tick) for tick in left.get_xticks()] == [2, 4]
    assert left.get_xscale() == right.get_xscale() == "log"
    assert any(line.get_linestyle() == ":" and line.get_ydata()[0] == 2.5 for line in left.lines)
    quiet = plot(
        summary.assign(rescan=math.nan), trials, labels=LABELS, endpoint=curve.endpoint, simulated=True, notes=told
    )
    assert not any(line.get_linestyle() == ":" for line in quiet.axes[0].lines)
