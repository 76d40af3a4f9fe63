"""The measures that others report, and their table, on constructed data whose answers are known."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.files import write_table
from core.study import Scan, Study
from evaluation.measures import (
    contrast_ratio,
    feature_discrepancy,
    inhomogeneity,
    intracranial_share,
    regional_volumes,
    scanner_classification,
    signal_to_noise,
    volume_percent,
)
from evaluation.measures.feature_discrepancy import discrepancy, standardized
from evaluation.measures.interface import Person, Range, Truth
from evaluation.runs.finished_run import read_run
from evaluation.scan_pairs import percent_apart, side_by_side
from evaluation.tables import table_other_measures
from tests.support.example_run import write_example_run
from tests.support.measured import measured_of

TISSUES = ("CSF", "GM", "WM")
PAIR = [("A", "B")]
STUDY = Study(tuple(Scan(person, scanner, None, None) for person in ("01", "02") for scanner in "AB"))


def volumes_of(values: dict[tuple[str, str, str], tuple[float, float, float]]) -> pd.DataFrame:
    """Volumes of CSF, GM and WM by arm, person and scanner, the same by all rules."""
    rows = [
        {"method": arm, "subject": person, "scanner": scanner, "tissue": tissue}
        | {f"volume_ml{ending}": volume for ending in ("", "_pve", "_hard")}
        for (arm, person, scanner), found in values.items()
        for tissue, volume in zip(TISSUES, found, strict=True)
    ]
    return pd.DataFrame(rows)


def person_of(images: dict[str, np.ndarray], **changes) -> Person:
    """Scans whose left half is gray and right half white matter."""
    shape = next(iter(images.values())).shape
    left = np.arange(shape[0])[:, None, None] < np.full(shape, shape[0] // 2)
    person = Person(
        images=images,
        own_images=images,
        masks={scanner: np.ones(shape, dtype=bool) for scanner in images},
        labels={},
        tissues={"CSF": np.zeros(shape, dtype=bool), "GM": left, "WM": ~left},
        own_range=Range(0.0, 2.0),
        reference_range=Range(0.0, 2.0),
        voxel_sizes=(2.0, 2.0, 2.0),
    )
    return replace(person, **changes)


# --- volumes ----------------------------------------------------------------------------------------


@given(st.floats(0.1, 1e3), st.floats(0.1, 1e3), st.floats(0.01, 100))
def test_percents_are_symmetric_and_know_no_unit(a, b, factor):
    found = float(percent_apart(np.array(a), np.array(b)))
    assert 0 <= found <= 200
    assert found == pytest.approx(float(percent_apart(np.array(b), np.array(a))))
    assert found == pytest.approx(float(percent_apart(np.array(factor * a), np.array(factor * b))), abs=1e-9)
    assert float(percent_apart(np.array(a), np.array(a))) == 0


def test_percents_of_an_empty_tissue_and_of_one_that_a_scan_lacks():
    np.testing.assert_array_equal(
        percent_apart(np.array([0.0, 0.0, 90.0]), np.array([0.0, 5.0, 110.0])), [np.nan, 200, 20]
    )


def test_scans_stand_beside_each_other_where_both_are_there():
    table = pd.DataFrame({"subject": ["1", "1", "2"], "scanner": ["A", "B", "A"], "x": [1.0, 2.0, 3.0]})
    found = side_by_side(table, ["x"], [("A", "B"), ("A", "C")])
    assert found.to_dict("records") == [{"subject": "1", "scanner_a": "A", "scanner_b": "B", "x_a": 1.0, "x_b": 2.0}]
    assert list(side_by_side(table.head(1), ["x"], PAIR)) == list(found)


def test_avdp_has_a_row_a_pair_that_is_there():
    volumes = volumes_of(
        {("raw", "01", "A"): (0, 90, 50), ("raw", "01", "B"): (0, 110, 50), ("raw", "02", "A"): (1, 1, 1)}
    )
    found = volume_percent.of_study(measured_of(STUDY, ["raw"], {"volumes": volumes}))["volume_percent_differences"]
    assert list(found["subject"]) == ["01"] * 3
    np.testing.assert_allclose(found["percent_difference"], [np.nan, 20, 0])
    by_label = volumes.assign(volume_ml_pve=np.nan, volume_ml_hard=2 * volumes["volume_ml"])
    again = volume_percent.of_study(measured_of(STUDY, ["raw"], {"volumes": by_label}))["volume_percent_differences"]
    pd.testing.assert_frame_equal(found, again)


def test_shares_take_out_the_size_of_the_mask_and_with_one_mask_are_ml_in_another_unit():
    volumes = volumes_of(
        {
            ("raw", "01", "A"): (100, 500, 400),
            ("raw", "01", "B"): (110, 550, 440),
            ("raw", "02", "A"): (100, 500, 400),
            ("raw", "02", "B"): (100, 520, 380),
            ("arm", "01", "A"): (0, 0, 0),
            ("arm", "01", "B"): (1, 1, 2),
        }
    )
    found = intracranial_share.of_study(measured_of(STUDY, ["raw", "arm"], {"volumes": volumes}))
    table = found["intracranial_shares"].set_index(["method", "subject", "tissue"]).sort_index()
    np.testing.assert_allclose(table.loc[("raw", "01"), "difference_points"], 0, atol=1e-9)
    np.testing.assert_allclose(table.loc[("raw", "02"), "difference_points"], np.array([0, 20, 20]) / 1000 * 100)
    assert table.loc[("raw", "02", "GM"), "share_b"] == pytest.approx(52)
    assert table.loc["arm", "difference_points"].isna().all()


def test_rescans_are_the_floor_of_all_three():
    """One person scanned again on A, another not: 500 and 505 mL of 1000, the region's 10 and 12."""
    volumes = volumes_of({("raw", person, "A"): (0, 500, 500) for person in ("01", "02")})
    again = volumes_of({("raw", "01", "A"): (0, 505, 495)}).assign(session="2")
    study = Study(
        tuple(Scan(person, "A", None, None, session="1") for person in ("01", "02")),
        rescans=(Scan("01", "A", None, None, session="2"),),
    )
    regions = regions_of("raw", {("01", "A"): [10.0], ("02", "A"): [10.0]})
    regions["session"] = np.where(regions["rescan"], "2", "1")
    regions.loc[regions["rescan"], "volume_ml_pve"] = 12.0
    regions = regions[~(regions["rescan"] & (regions["subject"] == "02"))]
    tables = {"volumes": volumes, "rescan_volumes": again}
    measured = measured_of(study, ["raw"], tables, regions=lambda arm: regions)
    for module, table, column, expected in (
        (volume_percent, "volume_percent_differences", "percent_difference", 100 * 5 / 502.5),
        (intracranial_share, "intracranial_shares", "difference_points", 0.5),
        (regional_volumes, "regional_differences", "regional_difference_ml", 2.0),
    ):
        found = module.of_study(measured)[f"rescan_{table}"]
        row = found[found["tissue"] == "GM"]
        assert row[["subject", "scanner", "session_a", "session_b"]].to_numpy().tolist() == [["01", "A", "1", "2"]]
        assert row[column].iloc[0] == pytest.approx(expected)


def regions_of(arm: str, gray: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """GM by region of a person's scan on a scanner, with a rescan that must not count."""
    rows = []
    for (person, scanner), volumes in gray.items():
        for rescan, (region, volume) in itertools.product((False, True), enumerate(volumes)):
            row = {"method": arm, "subject": person, "scanner": scanner, "session": "1", "rescan": rescan}
            rows.append({**row, "region": region, "tissue": "GM", "volume_ml_pve": volume + 1000 * rescan})
    return pd.DataFrame(rows)


def test_regions_do_not_cancel_and_small_ones_of_raw_count_for_no_arm():
    by_arm = {
        "raw": regions_of("raw", {("01", "A"): [10.0, 20.0, 0.2], ("01", "B"): [12.0, 18.0, 0.1]}),
        "arm": regions_of("arm", {("01", "A"): [10.0, 20.0, 50.0], ("01", "B"): [10.0, 20.0, 0.0]}),
    }
    nothing = by_arm["raw"].head(0)
    tables = {"volumes": volumes_of({("raw", "01", "A"): (1, 1, 1)})}
    measured = measured_of(STUDY, ["raw", "whole", "arm"], tables, regions=lambda arm: by_arm.get(arm, nothing))
    found = regional_volumes.of_study(measured)["regional_differences"].set_index("method")
    assert list(found.index) == ["raw", "arm"]
    assert (found["regions"] == 2).all()
    assert found.loc["raw", "regional_difference_ml"] == pytest.approx(2)
    assert found.loc["raw", "regional_difference_percent"] == pytest.approx((200 / 11 + 200 / 19) / 2)
    assert (found.loc["arm", ["regional_difference_ml", "regional_difference_percent"]] == 0).all()
    without = measured_of(STUDY, ["arm"], tables, regions=lambda arm: by_arm[arm] if arm == "arm" else nothing)
    assert regional_volumes.of_study(without)["regional_differences"].empty


# --- images -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(st.floats(0.1, 50), st.integers(0, 99))
def test_single_images_measures_know_no_unit_and_are_what_they_are_called(factor, seed):
    rng = np.random.default_rng(seed)
    image = np.where(np.arange(20)[:, None, None] < 10, 0.8, 1.0) + rng.normal(0, 0.02, (20, 20, 20))
    person = person_of({"A": image, "B": factor * image})
    ratios = [row["contrast_ratio"] for row in contrast_ratio.of_person(person)]
    noises = [row["snr"] for row in signal_to_noise.of_person(person)]
    varied = [row["white_matter_cv"] for row in inhomogeneity.of_person(person)]
    assert ratios == pytest.approx([0.8, 0.8], rel=0.01)
    assert noises == pytest.approx([50, 50], rel=0.1)
    assert varied == pytest.approx([2, 2], rel=0.05)
    for found in (ratios, noises, varied):
        assert found[0] == pytest.approx(found[1])


def test_shading_shows_in_the_cv_and_hardly_in_signal_to_noise():
    rng = np.random.default_rng(0)
    flat = 1 + rng.normal(0, 0.02, (20, 20, 20))
    shaded = flat + np.linspace(-0.2, 0.2, 20)[None, :, None]
    plain, uneven = (inhomogeneity.of_person(person_of({"A": image}))[0] for image in (flat, shaded))
    assert uneven["white_matter_cv"] > 4 * plain["white_matter_cv"]
    quiet, same = (signal_to_noise.of_person(person_of({"A": image}))[0]["snr"] for image in (flat, shaded))
    assert same == pytest.approx(quiet, rel=0.05)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_constant_image_and_an_empty_tissue_give_no_number_and_no_error(level):
    constant = person_of({"A": np.full((8, 8, 8), level, dtype=np.float32)})
    nothing = np.zeros((8, 8, 8), dtype=bool)
    empty = replace(constant, tissues=dict.fromkeys(TISSUES, nothing))
    assert np.isnan(signal_to_noise.of_person(constant)[0]["snr"])
    for person in (empty, constant)[: 1 if level else 2]:
        assert np.isnan(contrast_ratio.of_person(person)[0]["contrast_ratio"])
        assert np.isnan(inhomogeneity.of_person(person)[0]["white_matter_cv"])
        assert np.isnan(signal_to_noise.of_person(person)[0]["snr"])


def test_voxels_are_the_truths_where_it_is_known_and_in_the_mask():
    image = np.random.default_rng(0).uniform(0.5, 1, (6, 6, 6))
    labels = np.where(np.arange(216).reshape(image.shape) % 2 == 0, 3, 2).astype(np.uint8)
    mask = np.arange(6)[:, None, None] < np.full(image.shape, 3)
    person = person_of({"A": image, "B": image}, truth={"A": Truth(labels=labels)}, masks={"A": mask, "B": mask})
    white, gray = person.white_and_gray["A"]
    np.testing.assert_array_equal(image.ravel()[white], image[(labels == 3) & mask])
    np.testing.assert_array_equal(image.ravel()[gray], image[(labels == 2) & mask])
    np.testing.assert_array_equal(person.white_and_gray["B"][0], np.flatnonzero(person.tissues["WM"]))


def test_the_ratios_spread_is_over_a_persons_scanners():
    table = pd.DataFrame(
        {
            "method": "raw",
            "subject": ["01", "01", "02"],
            "scanner": ["A", "B", "A"],
            "contrast_ratio": [0.7, 0.9, 0.8],
        }
    )
    measured = measured_of(STUDY, ["raw"], {"contrast_ratio": table})
    found = contrast_ratio.of_study(measured)["contrast_ratio_spread"].set_index("subject")
    assert found.loc["01", "contrast_ratio_spread"] == pytest.approx(100 * np.sqrt(0.02) / 0.8)
    assert np.isnan(found.loc["02", "contrast_ratio_spread"])
    assert list(found["scanners"]) == [2, 1]


# --- features ---------------------------------------------------------------------------------------


def naive(a: np.ndarray, b: np.ndarray) -> float:
    """Gretton et al. 2012, Eq. 4, term by term."""
    scans = np.concatenate([a, b])
    distances = [np.linalg.norm(x - y) for x, y in itertools.combinations(scans, 2)]
    width = np.median(distances)

    def kernel(x, y):
        return np.exp(-np.sum((x - y) ** 2) / (2 * width**2))

    people = range(len(a))
    terms = [
        kernel(a[i], a[j]) + kernel(b[i], b[j]) - kernel(a[i], b[j]) - kernel(a[j], b[i])
        for i, j in itertools.permutations(people, 2)
    ]
    return sum(terms) / len(terms)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 8), st.integers(1, 5), st.integers(0, 99))
def test_the_discrepancy_is_its_formula_and_symmetric(people, features, seed):
    a, b = np.random.default_rng(seed).normal(size=(2, people, features))
    assert discrepancy(a, b) == pytest.approx(naive(a, b), abs=1e-12)
    assert discrepancy(a, b) == pytest.approx(discrepancy(b, a), abs=1e-12)
    assert discrepancy(a, a) == pytest.approx(0, abs=1e-12)
    assert discrepancy(3 * a + 5, 3 * b + 5) == pytest.approx(discrepancy(a, b), abs=1e-9)


def test_it_is_0_on_average_of_like_scanners_and_grows_with_their_distance():
    """People's own two scans are alike, which must not pass for likeness of scanners."""
    rng = np.random.default_rng(0)
    found = {0.0: [], 1.0: [], 3.0: []}
    for _ in range(300):
        people = rng.normal(size=(6, 4))
        for shift, values in found.items():
            values.append(discrepancy(people + 0.1 * rng.normal(size=(6, 4)), people + shift))
    means = {shift: np.mean(values) for shift, values in found.items()}
    error = np.std(found[0.0]) / np.sqrt(300)
    assert abs(means[0.0]) < 4 * error
    assert 0.1 < means[1.0] < means[3.0]


def test_the_discrepancy_without_an_answer():
    assert np.isnan(discrepancy(np.ones((1, 2)), np.ones((1, 2))))
    assert discrepancy(np.ones((3, 2)), np.ones((3, 2))) == 0
    few = np.zeros((4, 1))
    few[0] = 1
    assert np.isnan(discrepancy(few, np.zeros((4, 1))))


def test_features_are_in_their_standard_deviations_and_constant_ones_count_for_nothing():
    values = np.array([[1.0, 5.0, 7.0], [3.0, 5.0 + 1e-9, -7.0]])
    np.testing.assert_allclose(standardized(values), [[-1, 0, 1], [1, 0, -1]])


def test_the_features_are_those_of_the_classifier_of_people_on_both_scanners():
    rng = np.random.default_rng(0)
    rows = []
    for person, scanner in itertools.product(("01", "02", "03"), "AB"):
        if (person, scanner) != ("03", "B"):
            image = rng.normal(1, 0.1, (6, 6, 6)).astype(np.float32)
            found = scanner_classification.of_person(person_of({scanner: image}))
            rows += [{"method": "raw", "subject": person, **row} for row in found]
    table = pd.DataFrame(rows)
    study = Study(tuple(Scan(person, scanner, None, None) for person in ("01", "02", "03") for scanner in "AB"))
    measured = measured_of(study, ["raw"], {scanner_classification.TABLE: table})
    found = feature_discrepancy.of_study(measured)["feature_discrepancy"]
    values = standardized(table[table["subject"] != "03"].drop(columns=["method", "subject", "scanner"]).to_numpy())
    assert found[["scanner_a", "scanner_b", "n"]].to_numpy().tolist() == [["A", "B", 2]]
    assert found["mmd2"].iloc[0] == pytest.approx(naive(values[::2], values[1::2]))


# --- the table --------------------------------------------------------------------------------------


def test_the_table_has_all_of_them_raw_first_and_says_what_they_are(tmp_path):
    folder = write_example_run(tmp_path, subjects=4, missing=[("02", "GE")])
    run = read_run(folder)
    assert table_other_measures.make(run) is None
    volumes = run.table("metrics/volumes.tsv")
    scans = tuple(Scan(*names, None, None) for names in zip(run.scans["subject"], run.scans["scanner"], strict=True))
    measured = measured_of(Study(scans), run.arms, {"volumes": volumes})
    tables = volume_percent.of_study(measured) | intracranial_share.of_study(measured)
    own = volumes.loc[volumes["tissue"] == "GM", ["method", "subject", "scanner"]]
    own = own[own["method"] != "mispel"].assign(snr=30.0, white_matter_cv=5.0, cjv=0.6, mmd2=0.25, n=3)
    tables |= {"signal_to_noise": own, "inhomogeneity": own, "contrast": own}
    tables["feature_discrepancy"] = own.head(2).drop(columns="subject")
    for name, table in tables.items():
        write_table(folder / "metrics" / f"{name}.tsv", table)
    table = table_other_measures.make(read_run(folder))
    by_volume, by_image = table.panels
    assert by_volume.title == "Volumes between scanners"
    assert by_volume.header == [
        *(
            "Tissue",
            "Method",
            "n",
            "Absolute volume difference, %",
            "Difference of shares of intracranial volume, % points",
        )
    ]
    assert [row[:2] for row in by_volume.rows[:4]] == [["GM", name] for name in ("RAW", "WS", "RAVEL", "MISPEL")]
    # an arm of volumes has no row by images
    assert [row[0] for row in by_image.rows] == ["RAW", "WS", "RAVEL"]
    assert [str(cell.mean) for cell in by_image.rows[0][2:]] == ["30.00", "5.00", "0.60", "0.25"]
    assert [cell.mean for cell in by_image.rows[1][2:]] == ["30.00", "5.00", "0.60", "n/a"]
    expected = tables["volume_percent_differences"]
    expected = expected[(expected["method"] == "raw") & (expected["tissue"] == "GM")]
    people = expected.groupby("subject")["percent_difference"].mean()
    data = table.data.set_index(["tissue", "method", "measure"])
    assert data.loc[("GM", "raw", "avdp"), "mean"] == pytest.approx(people.mean())
    assert data.loc[("GM", "raw", "avdp"), "sd"] == pytest.approx(people.std(ddof=1))
    assert not any(entry.best for row in by_volume.rows for entry in row[3:])
    notes = " ".join(table.notes)
    assert "ICV being CSF + GM + WM" in notes
    assert "Gaussian kernel" in notes
