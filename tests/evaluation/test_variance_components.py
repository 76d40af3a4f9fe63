"""Variance components: by hand, unbiased in simulation, and their table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.files import write_table
from core.study import Scan, Study
from evaluation.analysis_of_variance import components, rescan_variance
from evaluation.measures.interface import Measured
from evaluation.measures.reliability import icc
from evaluation.measures.variance_components import of_study
from evaluation.runs.finished_run import read_run
from evaluation.tables import table_variance_components
from tests.support.example_run import write_example_run
from tests.support.measured import measured_of

BY_HAND = np.array([[10.0, 14.0], [20.0, 22.0], [30.0, 36.0]])
"""Means of people 12, 21, 33, of scanners 20, 24, of all 22; mean squares of people 222, scanners 24, error 2."""


def test_components_by_hand():
    found = components(BY_HAND)
    assert (found.person, found.scanner, found.interaction) == pytest.approx((110, 22 / 3, 2))
    again = [np.array([10.0, 11.0]), np.array([22.0, 21.0, 23.0])]
    # squares within cells 0.5 and 2, of 1 and 2 degrees of freedom
    assert rescan_variance(again) == pytest.approx(2.5 / 3)
    assert components(BY_HAND, rescan_variance(again)).interaction == pytest.approx(2 - 2.5 / 3)
    assert rescan_variance([np.array([4.0])]) is None


def test_the_icc_is_the_persons_share():
    found = components(BY_HAND)
    total = found.person + found.scanner + found.interaction
    assert found.person / total == pytest.approx(float(icc(BY_HAND)))


def test_estimates_are_unbiased():
    rng = np.random.default_rng(0)
    studies, people, scanners = 20_000, 6, 4
    cells = rng.normal(0, 3, (studies, people, scanners))
    truths = rng.normal(0, 5, (studies, people, 1)) + rng.normal(0, 4, (studies, 1, scanners)) + cells
    first, second = truths + rng.normal(0, 2, (2, studies, people, scanners))
    # two sessions of one cell have half their squared difference as variance
    within = np.square(first - second).mean(axis=(-2, -1)) / 2
    found = components(first)
    estimates = np.array([found.person, found.scanner, found.interaction - within, within])
    error = estimates.std(axis=1) / np.sqrt(studies)
    np.testing.assert_array_less(np.abs(estimates.mean(axis=1) - [25, 16, 9, 4]), 4 * error)


def study_of(rescanned: list[tuple[str, str, float]]) -> Measured:
    """The volumes by hand of RAW's gray matter, with these volumes of rescans (subject, scanner, mL)."""
    names = [(subject, scanner) for subject in "123" for scanner in "AB"]
    rows = [("raw", *name, "GM", volume) for name, volume in zip(names, BY_HAND.ravel(), strict=True)]
    columns = ["method", "subject", "scanner", "tissue", "volume_ml_pve"]
    tables = {"volumes": pd.DataFrame(rows, columns=columns).assign(volume_ml_hard=1.0)}
    if rescanned:
        further = [("raw", subject, scanner, "GM", volume) for subject, scanner, volume in rescanned]
        tables["rescan_volumes"] = pd.DataFrame(further, columns=columns).assign(session="2")
    scans = tuple(Scan(*name, None, None) for name in names)
    return measured_of(Study(scans), ["raw"], tables)


def test_without_rescans_person_x_scanner_says_what_it_holds():
    table = of_study(study_of([]))["variance_components"].set_index("component")
    assert list(table.index) == ["person", "scanner", "person x scanner"]
    assert table.loc["person x scanner", "note"] == "with what a rescan would differ by"
    assert table.share.sum() == pytest.approx(1)
    assert table.loc["person", "share"] == pytest.approx(float(icc(BY_HAND)))


def test_rescans_split_what_is_left_and_a_negative_estimate_is_noted():
    table = of_study(study_of([("1", "A", 11.0), ("2", "B", 21.0)]))["variance_components"].set_index("component")
    assert table.loc["rescan", "variance_ml2"] == pytest.approx(0.5)
    assert table.loc["person x scanner", "variance_ml2"] == pytest.approx(1.5)
    assert set(table.rescans) == {2}
    assert set(table.note) == {""}
    table = of_study(study_of([("1", "A", 14.0)]))["variance_components"].set_index("component")
    assert table.loc["person x scanner", ["variance_ml2", "share", "note"]].tolist() == [0, 0, "negative estimate"]
    assert table.loc["rescan", "variance_ml2"] == pytest.approx(8)
    assert table.share.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("rescanned", "row", "words"),
    [([], ["92.2", "6.1", "1.7", "n/a", "10.9"], "has no rescans"), ([("1", "A", 14.0)], ["0.0 (< 0)"], "Person x")],
)
def test_the_table_shows_shares_and_marks_what_is_negative(tmp_path, rescanned, row, words):
    run = write_example_run(tmp_path, subjects=2, methods=("raw",))
    write_table(run / "metrics/variance_components.tsv", of_study(study_of(rescanned))["variance_components"])
    volumes = pd.read_csv(run / "metrics/volumes.tsv", sep="\t")
    write_table(run / "metrics/volumes.tsv", volumes.assign(engine="hmrf"))
    table = table_variance_components.make(read_run(run))
    (cells,) = table.panels[0].rows
    shown = [cell.mean + cell.spread for cell in cells[3:]]
    assert cells[:3] == ["GM", "RAW", "3"]
    assert [cell for cell in shown if cell in row] == row
    assert words in " ".join(table.notes)
