"""Telling patients from controls across scanners: what a scanner's trace costs, and that no person leaks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from core.names import RAW, TISSUES
from core.sheet import read_sheet
from evaluation.measures import detection
from evaluation.measures.biology import TRUTH
from evaluation.measures.detection import COLUMNS, NUMBERS, decide, of_study, resampled, wins
from tests.support.made_up_study import write_study
from tests.support.measured import measured_of

PEOPLE, SCANNERS = 16, 3


def study_of(
    effect: float, shift: float, *, noise: float = 1.0, seed: int = 0, people: int = PEOPLE
) -> tuple[np.ndarray, np.ndarray]:
    """Features (people, scanners, 2): a person's own, lower in cases, and moved by each scanner's `shift`."""
    random = np.random.default_rng(seed)
    cases = np.arange(people) % 2 == 0
    own = noise * random.normal(size=(people, 1, 2)) - effect * cases[:, None, None]
    return own + shift * np.arange(SCANNERS)[None, :, None] + 0.05 * random.normal(size=(people, SCANNERS, 2)), cases


def numbers(features: np.ndarray, cases: np.ndarray) -> dict[str, float]:
    return detection.detection(features, cases, seed=0, rounds=400)


def test_the_area_is_the_usual_one():
    random = np.random.default_rng(1)
    values, cases = random.normal(size=30).round(1), np.arange(30) % 3 == 0
    assert wins(values, cases).mean() == pytest.approx(roc_auc_score(cases, values))


def test_without_scanners_differences_nothing_drops():
    found = numbers(*study_of(3.0, 0.0))
    assert found["auc_same"] > 0.95
    assert found["auc_other"] > 0.95
    assert abs(found["drop"]) < 0.03
    assert found["decision_icc"] > 0.95
    assert found["auc_confounded"] > 0.95


def test_a_scanners_trace_is_learned_where_it_is_confounded():
    """On one scanner it does no harm, across scanners values disagree, and in the reverse they mislead."""
    found = numbers(*study_of(1.5, 4.0))
    assert found["auc_same"] > 0.8
    assert found["decision_icc"] < 0.6
    assert found["auc_confounded"] < 0.35
    assert found["auc_confounded_high"] < 0.5


def test_a_person_is_not_in_what_is_judged_on_them():
    """Everybody has a mark of their own, the same on every scanner: who saw the person there would know the group."""
    cases = np.arange(PEOPLE) % 2 == 0
    found = []
    for seed in range(6):
        marks = np.repeat(np.random.default_rng(seed).normal(size=(PEOPLE, 1, 40)), SCANNERS, axis=1)
        found.append(wins(decide(marks, cases).plain[0, 1], cases).mean())
    assert np.mean(found) < 0.6
    # had the person's other scan been learned from, every one would be right
    leaked = detection._fitted(marks[:, 0], cases)(marks[:, 1])
    assert wins(leaked, cases).mean() == 1


@pytest.mark.parametrize("person", [0, 7])
def test_a_persons_own_scans_change_no_fit_that_judges_them(person):
    features, cases = study_of(1.0, 1.0)
    before = decide(features, cases)
    changed = features.copy()
    # on the scanners that are learned from, not on the one that is judged
    changed[person, :2] += 100
    after = decide(changed, cases)
    np.testing.assert_array_equal(after.plain[:, 2, person], before.plain[:, 2, person])
    others = np.arange(PEOPLE) != person
    assert not np.array_equal(after.plain[0, 2, others], before.plain[0, 2, others])


def test_units_of_the_features_do_not_count():
    features, cases = study_of(1.0, 0.5)
    scaled = decide(features * [1000, 0.01] + [5, -3], cases)
    np.testing.assert_allclose(scaled.plain, decide(features, cases).plain, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_the_interval_holds_the_area_of_the_decision_values():
    """Over people: two normal groups, whose area is known (Hanley and McNeil 1982); percentiles are a little narrow."""
    from scipy import stats

    truth, inside, rounds = stats.norm.cdf(1 / math.sqrt(2)), 0, 400
    cases = np.arange(40) % 2 == 0
    for number in range(rounds):
        random = np.random.default_rng(number)
        values = random.normal(size=40) + cases
        low, high = np.percentile(resampled(wins(values, cases), 400, random), detection.SPREAD)
        inside += low <= truth <= high
    assert 0.89 <= inside / rounds <= 0.98


def measured(folder, *, truth: bool = True, diagnosis: bool = True):
    """A study of 8 people whose gray matter is less in patients, by RAW and an arm."""
    study = read_sheet(write_study(folder, subjects=8), check=False)
    if diagnosis:
        for scan in study.scans:
            scan.covariates["diagnosis"] = "AD" if int(scan.subject) % 2 else "control"
    random = np.random.default_rng(0)
    rows, true = [], []
    for subject in study.subjects:
        own = random.normal(0, 5, 3) - [0, 60 * (int(subject) % 2), 0]
        for place, scanner in enumerate(study.scanners):
            for tissue, base, offset in zip(TISSUES, (300, 600, 500), own, strict=True):
                true.append((RAW, subject, scanner, tissue, base + offset))
                for method, shift in ((RAW, 40), ("arm", 0)):
                    volume = base + offset + shift * place
                    rows.append((method, subject, scanner, tissue, volume, volume))
    volumes = pd.DataFrame(rows, columns=["method", "subject", "scanner", "tissue", "volume_ml_pve", "volume_ml_hard"])
    known = pd.DataFrame(true, columns=["method", "subject", "scanner", "tissue", "true_volume_ml"])
    tables = {"volumes": volumes} | ({"truth": known} if truth else {})
    return measured_of(study, [RAW, "arm"], tables)


def test_a_row_an_arm_with_the_truth_as_the_ceiling(tmp_path):
    table = of_study(measured(tmp_path))["detection"]
    assert list(table.columns) == COLUMNS
    assert list(table["method"]) == [TRUTH, RAW, "arm"]
    assert set(table["contrast"]) == {"control - AD"}
    assert (table["n"] == 8).all()
    assert (table["cases"] == 4).all()
    by_arm = table.set_index("method")
    assert by_arm.loc[TRUTH, "auc_other"] == by_arm.loc["arm", "auc_other"] == 1
    assert by_arm.loc[RAW, "decision_icc"] < by_arm.loc["arm", "decision_icc"]
    for name in NUMBERS:
        assert (table[f"{name}_low"] <= table[name] + 1e-9).all()
        assert (table[f"{name}_high"] >= table[name] - 1e-9).all()
    pd.testing.assert_frame_equal(table, of_study(measured(tmp_path / "again"))["detection"])


def test_a_study_without_diagnoses_has_none(tmp_path):
    assert of_study(measured(tmp_path, diagnosis=False))["detection"].empty
