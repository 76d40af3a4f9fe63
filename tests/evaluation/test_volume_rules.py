"""What counts as a tissue: which conclusions depend on it, and by which rule each table and figure is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.errors import InputError
from core.files import read_table, write_table
from evaluation.__main__ import main
from evaluation.measures import registry
from evaluation.runs.finished_run import read_run
from evaluation.statistics import values_of
from evaluation.tables import table3_volume_differences, table_power, table_truth, table_volume_rules
from evaluation.volume_rules import Flip, changes_from_raw, flips, flips_in_words, in_words, main_rule
from tests.support.example_run import write_example_run


def test_a_flip_needs_two_signs():
    changes = pd.DataFrame(
        {
            "method": ["a", "b", "c", "a"],
            "tissue": ["CSF", "CSF", "CSF", "GM"],
            "posterior > 0.8": [-1.0, -1.0, np.nan, 2.0],
            "partial-volume sum": [0.5, -2.0, 1.0, -3.0],
            "hard label": [0.0, 0.0, 1.0, 4.0],
        }
    )
    found = flips(changes)
    assert found == [
        Flip("a", "GM", ("partial-volume sum",), ("posterior > 0.8", "hard label")),
        Flip("a", "CSF", ("posterior > 0.8",), ("partial-volume sum",)),
    ]
    sentence = flips_in_words(found, changes.columns[2:], str.upper)
    assert "A in GM (smaller than RAW's by partial-volume sum, larger by posterior > 0.8 and hard label)" in sentence
    assert flips_in_words([], ["x", "y"], str).startswith("By each of the rules (x, y)")


def test_changes_are_paired_with_raw_and_people_weigh_alike():
    rows = [
        # the second person lacks one pair, and the arm a third person
        ("raw", "1", "A", "B", 4.0),
        ("raw", "1", "A", "C", 6.0),
        ("raw", "2", "A", "B", 8.0),
        ("raw", "3", "A", "B", 100.0),
        ("arm", "1", "A", "B", 3.0),
        ("arm", "1", "A", "C", 4.0),
        ("arm", "2", "A", "B", 8.00001),
    ]
    keys = ["method", "subject", "scanner_a", "scanner_b", "absolute_difference_ml"]
    table = pd.DataFrame(rows, columns=keys).assign(tissue="GM")
    found = changes_from_raw(table, {"": "own"})
    # -1 and -2 of the first person, nothing of the second, whose change is below the table's digits
    assert found.to_dict("records") == [{"method": "arm", "tissue": "GM", "own": -0.75}]


def test_rules_have_words():
    assert in_words("posterior 0.8") == "posterior > 0.8"
    assert in_words("hard") == "hard label"
    assert in_words("partial_volume 0.75") == "partial volume from 0.75"
    table = pd.DataFrame({"volume_ml_pve": [np.nan, np.nan], "volume_ml_hard": [1.0, 2.0]})
    assert main_rule(table, "volume_ml") == "_hard"
    assert main_rule(table.assign(volume_ml_pve=[np.nan, 2.0]), "volume_ml") == "_pve"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run in which MISPEL is nearer than RAW in GM by its own rule and by hard label, and farther by the sum."""
    folder = write_example_run(tmp_path_factory.mktemp("rules"), subjects=4, methods=("raw", "mispel"))
    path = folder / "metrics/volume_differences.tsv"
    table = read_table(path)
    chosen = table.tissue == "GM"
    table.loc[chosen & (table.method == "mispel"), ["absolute_difference_ml", "absolute_difference_ml_hard"]] = 1.0
    table.loc[chosen & (table.method == "raw"), ["absolute_difference_ml", "absolute_difference_ml_hard"]] = 2.0
    table.loc[chosen, "absolute_difference_ml_pve"] = np.where(table[chosen].method == "raw", 2.0, 3.0)
    write_table(path, table)
    volumes = folder / "metrics/volumes.tsv"
    write_table(volumes, read_table(volumes).assign(engine="hmrf"))
    main(["statistics", str(folder), "--bootstrap", "100"])
    return folder


@pytest.mark.parametrize("table", [table3_volume_differences, table_volume_rules])
def test_a_conclusion_that_flips_is_named_under_the_table(run, table):
    notes = " ".join(table.make(read_run(run)).notes)
    assert "MISPEL in GM (smaller than RAW's by posterior > 0.8 and hard label, larger by partial-volume sum)" in notes


def test_the_papers_rule_is_tested_but_neither_summarized_nor_in_power(run):
    tests = read_table(run / "statistics/paired_tests.tsv")
    three = {"volume_difference", "volume_difference_pve", "volume_difference_hard"}
    assert three <= set(tests.measure)
    gm = tests[(tests.tissue == "GM") & (tests.method == "mispel")].groupby("measure").mean_difference.first()
    assert dict(gm[sorted(three)]) == {
        "volume_difference": -1,
        "volume_difference_hard": -1,
        "volume_difference_pve": 1,
    }
    summary = read_table(run / "statistics/summary.tsv")
    assert three & set(summary.measure) == {"volume_difference_pve"}
    assert three & set(table_power.make(read_run(run)).data.measure) == three - {"volume_difference"}


def test_the_truths_best_is_by_partial_volumes_and_hard_label(run):
    data = table_truth.make(read_run(run)).data
    bold = set(data[(data.quantity == "volume") & (data.best == "yes")].value_of)
    assert bold == {"absolute_error_ml_pve", "absolute_error_ml_hard"}


def test_an_old_runs_table_is_refused_with_its_column(tmp_path):
    run = write_example_run(tmp_path, subjects=2)
    path = run / "metrics/volume_differences.tsv"
    write_table(path, read_table(path).drop(columns="absolute_difference_ml_pve"))
    with pytest.raises(InputError, match="volume_differences.tsv: no column 'absolute_difference_ml_pve'"):
        values_of(run, registry.find("volume_difference_pve"))
    with pytest.raises(InputError, match="volume_differences.tsv: no column 'absolute_difference_ml_pve'"):
        table3_volume_differences.make(read_run(run))
