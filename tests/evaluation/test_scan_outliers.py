"""Scans that stand out in their study: found by what they differ in, among their scanner's alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.files import read_table, write_table
from evaluation.report import content
from evaluation.runs.finished_run import read_run
from evaluation.scan_outliers import FEWEST, LIMIT, Looked, in_words, modified_z, outliers
from evaluation.tables import table_scans
from tests.support.example_run import write_example_run

CONTRAST = Looked("contrast-to-noise", "contrast", "cnr")
VOLUME = Looked("GM", "volumes", "volume_ml_hard", "GM", of_person=True)


def contrast(*, people: int = 12, seed: int = 0, shift: float = 0.0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows = [
        {"subject": f"{person:02d}", "scanner": scanner, "cnr": level + generator.uniform(-0.1, 0.1)}
        for person in range(people)
        for scanner, level in (("GE", 2.0), ("Trio", 5.0))
    ]
    table = pd.DataFrame(rows)
    table.loc[0, "cnr"] += shift
    return table


def test_scipy_has_the_same_median_absolute_distance():
    from scipy.stats import median_abs_deviation

    values = np.random.default_rng(1).normal(3, 2, 40)
    expected = (values - np.median(values)) / median_abs_deviation(values, scale="normal")
    assert modified_z(values) == pytest.approx(expected, rel=1e-4)


@given(st.lists(st.floats(-1e6, 1e6), min_size=FEWEST, max_size=30), st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_units_dont_matter(values, slope, shift):
    numbers = np.array(values)
    moved = modified_z(slope * numbers + shift)
    assert np.isfinite(moved).all()
    spread = np.median(np.abs(numbers - np.median(numbers)))
    if spread > 1e-3 * (1 + np.abs(numbers).max()):
        assert moved == pytest.approx(modified_z(numbers), rel=1e-3, abs=1e-3)


def test_a_scan_far_from_its_scanners_is_found_and_another_scanner_is_not_far():
    assert outliers({"contrast": contrast()}, [CONTRAST]).empty
    found = outliers({"contrast": contrast(shift=3.0)}, [CONTRAST])
    assert list(zip(found["subject"], found["scanner"], strict=True)) == [("00", "GE")]
    assert found["z"].iloc[0] > LIMIT
    assert found["usual"].iloc[0] == pytest.approx(2.0, abs=0.1)
    (sentence,) = in_words(found)
    assert sentence.startswith("subject 00 on GE stands out among that scanner's scans: contrast-to-noise")


def test_few_people_are_not_judged():
    assert outliers({"contrast": contrast(people=FEWEST - 1, shift=9.0)}, [CONTRAST]).empty


def test_a_large_brain_is_no_outlier_but_one_scan_of_it_may_be():
    generator = np.random.default_rng(2)
    rows = [
        {"subject": f"{person}", "scanner": scanner, "tissue": "GM", "volume_ml_hard": size + generator.uniform(-2, 2)}
        for person, size in enumerate([600.0] * 11 + [1200.0])
        for scanner in ("GE", "Trio", "Prisma")
    ]
    table = pd.DataFrame(rows)
    assert outliers({"volumes": table}, [VOLUME]).empty
    table.loc[3, "volume_ml_hard"] += 60
    found = outliers({"volumes": table}, [VOLUME])
    # it moves the person's mean, so that the person's other scans may be named too, after it
    assert set(found["subject"]) == {"1"}
    assert found["scanner"].iloc[0] == "GE"


def test_a_scan_that_stands_out_is_in_the_table_and_on_the_first_screen(tmp_path):
    folder = write_example_run(tmp_path / "run", subjects=6)
    path = folder / "metrics" / "volumes.tsv"
    volumes = read_table(path)
    chosen = (volumes["method"] == "raw") & (volumes["subject"] == "04") & (volumes["scanner"] == "Trio")
    volumes.loc[chosen, "volume_ml_hard"] += 400
    write_table(path, volumes)
    run = read_run(folder)
    table = table_scans.make(run)
    assert ("04", "Trio") in set(zip(table.data["subject"], table.data["scanner"], strict=True))
    assert len(table.panels[0].rows) == len(table.data)
    assert any(remark.startswith("subject 04 on Trio stands out") for remark in content.overview(run)["remarks"])
