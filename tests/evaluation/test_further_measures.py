"""The measures beyond the paper on constructed data whose answers are known."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from core.covariates import Cell, read_covariate
from core.errors import InputError
from core.roughness import roughness as image_roughness
from core.study import Scan, Study
from evaluation.analysis_of_variance import mean_squares
from evaluation.arms.measuring import PersonMeasures, common_tissues
from evaluation.measures import identity, sharpness
from evaluation.measures.biology import comparable, contrasts, line, noncentrality, sample_size_ratio
from evaluation.measures.biology import of_study as biology
from evaluation.measures.bland_altman import agreement
from evaluation.measures.contrast import contrast_to_noise, joint_variation
from evaluation.measures.contrast import of_person as contrast_of
from evaluation.measures.intensity_distance import wasserstein_of_sorted
from evaluation.measures.interface import Measured, Person, Range, Truth
from evaluation.measures.reliability import between_person_cv, icc, icc_interval, over_tissues, within_person_cv
from evaluation.measures.scanner_classification import classify, neighbors, octants, of_person, roughness, shading
from tests.support.measured import measured_of

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)
"""Six targets, four judges: Shrout and Fleiss 1979, Table 2; their ICC(2,1) is 0.29."""


# --- volumes ----------------------------------------------------------------------------------------


def test_icc_is_that_of_shrout_and_fleiss():
    assert float(icc(SHROUT_FLEISS)) == pytest.approx(0.2898, abs=1e-4)
    assert icc_interval(SHROUT_FLEISS) == pytest.approx((0.0188, 0.7611), abs=2e-4)
    found = mean_squares(SHROUT_FLEISS)
    assert (found.people, found.scanners, found.error) == pytest.approx((11.24, 32.49, 1.02), abs=0.005)


def test_icc_knows_agreement_from_consistency_and_works_on_stacks():
    people = np.array([[1.0], [2.0], [3.0], [4.0]])
    same, shifted = np.repeat(people, 3, axis=1), people + np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(icc(np.stack([same, shifted])), [1.0, float(icc(shifted))])
    assert float(icc(shifted)) == pytest.approx((5 / 3) / (5 / 3 + 1))
    assert np.isnan(icc(np.ones((4, 3))))
    assert all(np.isnan(icc_interval(same)))


def test_within_person_cv_is_the_root_mean_square_over_people():
    values = np.array([[100.0, 100.0], [90.0, 110.0]])
    assert float(within_person_cv(values)) == pytest.approx(100 * np.sqrt((0.02) / 2))


def test_a_score_over_tissues_is_relative_to_each_and_of_one_tissue_its_own():
    small = 100 + np.array([[-2.0], [0.0], [2.0]]) + np.zeros((3, 2))
    tissues = np.stack([small, 7 * small], axis=-1)
    score = over_tissues(between_person_cv)
    assert score(tissues) == pytest.approx(2.0)
    assert score(tissues[..., 1:]) == pytest.approx(float(between_person_cv(7 * small))) == pytest.approx(2.0)
    # a large tissue's people are no more than a small one's
    lost = np.stack([small, np.full_like(small, 700.0)], axis=-1)
    assert score(lost) == pytest.approx(1.0)


def test_bias_and_limits_of_agreement():
    found = agreement(np.array([1.0, 3.0, np.nan, 5.0]))
    assert (found.n, found.bias, found.sd) == (3, 3.0, 2.0)
    assert (found.limit_low, found.limit_high) == pytest.approx((3 - 1.96 * 2, 3 + 1.96 * 2), abs=1e-3)
    interval = stats.t.interval(0.95, 2, loc=3, scale=2 / np.sqrt(3))
    assert (found.bias_low, found.bias_high) == pytest.approx(interval)
    assert np.isnan(agreement(np.array([1.0])).limit_low)


# --- images -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.floats(0.1, 50), st.floats(-40, 40), st.integers(0, 99))
def test_contrast_is_blind_to_an_affine_map_and_falls_with_noise(slope, intercept, seed):
    rng = np.random.default_rng(seed)
    white, gray = rng.normal(1.2, 0.05, 400), rng.normal(0.9, 0.1, 300)
    expected = (white.mean() - gray.mean()) / np.sqrt(white.var() + gray.var())
    assert contrast_to_noise(white, gray) == pytest.approx(expected)
    assert joint_variation(white, gray) == pytest.approx((white.std() + gray.std()) / (white.mean() - gray.mean()))
    for measure in (contrast_to_noise, joint_variation):
        assert measure(slope * white + intercept, slope * gray + intercept) == pytest.approx(measure(white, gray))
    noisy = white + rng.normal(0, 0.3, 400), gray + rng.normal(0, 0.3, 300)
    assert contrast_to_noise(*noisy) < contrast_to_noise(white, gray)
    assert joint_variation(*noisy) > joint_variation(white, gray)


def test_contrast_without_an_answer_is_nan():
    assert np.isnan(contrast_to_noise(np.empty(0), np.ones(3)))
    assert np.isnan(joint_variation(np.ones(3), np.ones(3)))


def step(noise: float = 0.0, blur: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """GM (1) left and WM (2) right of a plane (12, 10, 8), and both tissues."""
    image = np.where(np.arange(12)[:, None, None] < 6, 1.0, 2.0) * np.ones((12, 10, 8))
    gray = image == 1.0
    for _ in range(blur):
        image[1:-1] = (image[:-2] + image[1:-1] + image[2:]) / 3
    return (image + noise * np.random.default_rng(0).standard_normal(image.shape)).astype(np.float32), ~gray, gray


@pytest.mark.parametrize("size", [1.0, 2.0])
def test_a_step_is_as_sharp_as_voxels_allow_and_a_blur_less(size):
    def of(image, white, gray):
        found = sharpness.border(white, gray, (size, 1, 1))
        contrast = float(image[white].mean() - image[gray].mean())
        return sharpness.sharpness(image, found, contrast, (size, 1, 1))

    assert of(*step()) == pytest.approx(1 / (2 * size), rel=1e-5)
    image, white, gray = step()
    assert of(-30 * image + 7, white, gray) == pytest.approx(of(image, white, gray), rel=1e-4)
    assert of(*step(noise=0.2)) == pytest.approx(of(*step()), rel=0.1)
    assert of(*step(blur=2)) < 0.8 * of(*step())
    nothing = sharpness.border(white, np.zeros_like(gray), (size, 1, 1))
    assert np.isnan(sharpness.sharpness(image, nothing, 1.0, (size, 1, 1)))
    assert np.isnan(sharpness.sharpness(image, sharpness.border(white, gray, (size, 1, 1)), np.nan, (size, 1, 1)))


def test_contrasts_voxels_are_the_truths_where_it_is_known():
    """RAW's own labels follow its noise: split at the mean, noise alone has contrast there, and none in the truth's."""
    rng = np.random.default_rng(0)
    image = rng.normal(1, 0.1, (10, 10, 10)).astype(np.float32)
    own = {"WM": image > 1, "GM": image <= 1}
    true = np.where(np.arange(1000).reshape(image.shape) % 2 == 0, 3, 2).astype(np.uint8)
    person = replace(person_of({"A": image}), tissues=own)
    assert contrast_of(person)[0]["cnr"] > 1.5
    known = replace(person, truth={"A": Truth(labels=true)})
    assert contrast_of(known)[0]["cnr"] == pytest.approx(contrast_to_noise(image[true == 3], image[true == 2]))
    assert contrast_of(known)[0]["cnr"] < 0.2
    half = {"A": np.arange(10)[:, None, None] < np.full((10, 10, 10), 5)}
    inside = image[:5][true[:5] == 3], image[:5][true[:5] == 2]
    assert contrast_of(replace(known, masks=half))[0]["cnr"] == pytest.approx(contrast_to_noise(*inside))


def detail_table(raw: np.ndarray, arm: np.ndarray, truth: np.ndarray | None) -> pd.DataFrame:
    """The table of sharpness of two arms' single scan, by method."""
    rows = []
    for method, image in (("raw", raw), ("arm", arm)):
        known = {} if truth is None else {"A": Truth(image=truth)}
        person = replace(person_of({"A": image}), truth=known)
        rows += [{"method": method, "subject": "01", **row} for row in sharpness.of_person(person)]
    tables = {"sharpness": pd.DataFrame(rows)}
    found = sharpness.of_study(measured_of(Study((Scan("01", "A", None, None),)), ["raw", "arm"], tables))
    return found["sharpness"].set_index("method")


def test_high_frequency_power_falls_with_a_blur_and_is_told_by_the_truth_where_it_is_known():
    rng = np.random.default_rng(1)
    truth = (1 + 0.1 * rng.standard_normal((20, 20, 20))).astype(np.float32)
    raw = (truth + 0.1 * rng.standard_normal(truth.shape)).astype(np.float32)
    found = detail_table(raw, (truth - 1) / 2 + 1, truth)
    assert found.high_frequency_power["raw"] == pytest.approx(2, rel=0.05)
    assert found.high_frequency_power["arm"] == pytest.approx(0.25, rel=1e-3)
    unknown = detail_table(raw, ndimage.gaussian_filter(raw, 0.8), None)
    assert unknown.high_frequency_power["raw"] == 1
    assert unknown.high_frequency_power["arm"] < 0.3
    assert unknown.roughness["arm"] < 0.6 * unknown.roughness["raw"]
    assert unknown.roughness["raw"] == pytest.approx(image_roughness(raw, np.ones(raw.shape, dtype=bool)))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(0, 99))
def test_the_distance_of_intensities_is_scipys(count, seed):
    a, b = (np.sort(values) for values in np.random.default_rng(seed).normal(size=(2, count)))
    assert wasserstein_of_sorted(a, b) == pytest.approx(stats.wasserstein_distance(a, b))
    assert wasserstein_of_sorted(a, a + 0.3) == pytest.approx(0.3)


def test_the_distance_of_unequal_samples_is_refused():
    with pytest.raises(InputError, match="samples of 2 and 3"):
        wasserstein_of_sorted(np.zeros(2), np.zeros(3))


# --- scanners and people ----------------------------------------------------------------------------


def test_features_are_what_they_are_called():
    region = np.ones((4, 4, 4), dtype=bool)
    image = np.indices(region.shape)[0].astype(np.float32)
    values = shading(image[region], octants(region))
    assert [values[f"WM_octant{n}"] for n in (0, 3, 4, 7)] == [0.5, 0.5, 2.5, 2.5]
    chess = np.indices(region.shape).sum(axis=0) % 2
    rough = roughness(chess.astype(np.float32).ravel(), neighbors(region))
    assert rough == {"WM_roughness_x": 1.0, "WM_roughness_y": 1.0, "WM_roughness_z": 1.0}
    assert [len(places) for places, _ in neighbors(region)] == [48] * 3
    rows = of_person(person_of({"A": image, "B": 2 * image}))
    assert rows[1]["WM_p95"] == 2 * rows[0]["WM_p95"] == 6
    assert all(np.isfinite(value) for row in rows for name, value in row.items() if name != "scanner")


def person_of(images: dict[str, np.ndarray], sizes: tuple[float, float, float] = (4.0, 4.0, 4.0)) -> Person:
    labels = {scanner: np.full(image.shape, 3, dtype=np.uint8) for scanner, image in images.items()}
    return Person(
        images=images,
        own_images=images,
        masks={scanner: np.ones(image.shape, dtype=bool) for scanner, image in images.items()},
        labels=labels,
        tissues=common_tissues(list(labels.values())),
        own_range=Range(0.0, 2.0),
        reference_range=Range(0.0, 2.0),
        voxel_sizes=sizes,
    )


def test_a_trace_of_the_scanner_is_recognised_and_its_absence_is_guessing():
    rng = np.random.default_rng(0)
    people, scanners = (np.array(names) for names in zip(*itertools.product("abcdefgh", "GPT"), strict=True))
    own = {person: rng.normal(size=5) for person in "abcdefgh"}
    anatomy = np.stack([own[person] for person in people])
    trace = np.stack([8.0 * (scanners == scanner) for scanner in "GPT"], axis=1)
    assert (classify(np.hstack([anatomy, trace]), scanners, people) == scanners).all()
    assert (classify(anatomy, scanners, people) == scanners).mean() == pytest.approx(1 / 3)
    assert (classify(anatomy[:3], scanners[:3], people[:3]) == "").all()


def test_tissues_are_those_of_most_scanners():
    labels = [np.array([[[number]]], dtype=np.uint8) for number in (3, 3, 2, 1)]

    def found(*chosen: int) -> list[str]:
        tissues = common_tissues([labels[number] for number in chosen])
        return [tissue for tissue, region in tissues.items() if region.any()]

    assert found(0, 1, 2, 3) == ["WM"]
    assert found(0, 1, 2) == ["WM"]
    assert found(0, 2) == []
    assert found(0, 2, 3) == []


def cohort(people: np.ndarray, shift: float = 0.0, noise: float = 0.0) -> Measured:
    """People's cells (N, C) as scans A and B, the second with a scanner's shift; nothing else is measured."""
    names = [f"{number:02d}" for number in range(len(people))]
    rng = np.random.default_rng(1)
    places = np.column_stack([np.arange(people.shape[1]), np.zeros((people.shape[1], 2))])
    cells = {}
    for (name, values), scanner in itertools.product(zip(names, people, strict=True), "AB"):
        seen = values + (scanner == "B") * shift + noise * rng.standard_normal(values.shape)
        cells[name, scanner] = np.column_stack([places, seen])
    scans = tuple(Scan(name, scanner, None, None) for name, scanner in cells)
    return measured_of(Study(scans), ["arm"], {}, arrays=lambda module, method: cells)


def test_people_are_recognised_and_their_variance_measured():
    people = np.random.default_rng(0).normal(size=(6, 2000))
    table = identity.of_study(cohort(people, shift=3.0, noise=0.5))["identification"]
    assert (table.identified == 1).all()
    assert (table.own_correlation > table.other_correlation + 0.5).all()
    assert (table.identity_margin < table.own_correlation - table.other_correlation).all()
    assert table.between_person_variance.mean() == pytest.approx(people.var(axis=0, ddof=1).mean(), rel=0.05)


def test_everyone_made_alike_is_recognised_by_a_guess_only():
    table = identity.of_study(cohort(np.tile(np.arange(50.0), (5, 1)), shift=1.0))["identification"]
    np.testing.assert_allclose(table.identified, 1 / 5)
    np.testing.assert_allclose(table.identity_margin, 0, atol=1e-9)
    np.testing.assert_allclose(table.between_person_variance, 0, atol=1e-12)


def test_identification_counts_ties_in_part():
    alike = np.array([[0.9, 0.9, 0.1], [0.2, 0.3, 0.1], [0.5, 0.1, 0.4]])
    assert list(identity.identify(alike)) == [0.5, 1.0, 0.0]


def test_the_margin_falls_where_everyone_is_still_recognized():
    """Half a person and half the cohort's mean: the share recognized can't tell, the margin can."""
    people = np.random.default_rng(0).normal(size=(6, 2000)) + np.linspace(0, 3, 2000)
    half = (people + people.mean(axis=0)) / 2
    tables = [identity.of_study(cohort(images, noise=0.2))["identification"] for images in (people, half)]
    assert all((table.identified == 1).all() for table in tables)
    assert tables[1].identity_margin.mean() < 0.7 * tables[0].identity_margin.mean()
    alike = np.array([[0.9, 0.9, 0.1], [0.2, 0.3, 0.1], [0.5, 0.1, 0.4]])
    np.testing.assert_allclose(identity.margins(alike), [0.0, 0.1, -0.1])


def test_cells_lie_on_the_studys_grid_and_inside_the_mask():
    image = np.arange(8.0 * 8 * 8).reshape(8, 8, 8)
    mask = np.ones(image.shape, dtype=bool)
    mask[7, 7, 7] = False
    whole = identity.cell_means(image, mask, (0, 0, 0), (2, 2, 2))
    assert whole[0, 0, 0] == pytest.approx(image[:2, :2, :2].mean())
    assert np.isnan(whole[3, 3, 3])
    part = identity.cell_means(image[1:], mask[1:], (1, 0, 0), (2, 2, 2))
    np.testing.assert_array_equal(part, whole[1:])
    kept = {
        scan: identity.arrays_of_person(person_of({"A": image[start:]}))["A"] for start, scan in ((0, "x"), (2, "y"))
    }
    assert len(kept["x"]) == 64
    assert kept["x"].shape[1] == 4
    common = identity.common_cells({("01", name): rows for name, rows in kept.items()})
    assert len(common["01", "x"]) == len(common["01", "y"]) == 48


def test_what_is_measured_of_a_person_is_written_without_nan(tmp_path):
    found = PersonMeasures()
    images = {scanner: np.ones((4, 4, 4), dtype=np.float32) for scanner in "AB"}
    found.add(person_of(images), {"method": "arm", "subject": "01"})
    found.write(tmp_path, "0000")
    assert '"cnr": null' in (tmp_path / "measures-0000.json").read_text()
    assert sorted(np.load(tmp_path / "arrays-0000.npz").files) == ["identity/01/A", "identity/01/B"]


# --- biology ----------------------------------------------------------------------------------------


def test_a_line_and_what_it_explains():
    x, y = np.array([1.0, 2.0, 3.0, 4.0, 7.0]), np.array([3.0, 1.0, 4.0, 8.0, 7.0])
    expected = stats.linregress(x, y)
    found = line(x, y[:, None])
    reach = stats.t.ppf(0.975, 3) * expected.stderr
    assert (found.slope, found.slope_low, found.slope_high) == pytest.approx(
        (expected.slope, expected.slope - reach, expected.slope + reach)
    )
    assert found.explained == pytest.approx(1 - (1 - expected.rvalue**2) * 4 / 3)
    # an interval of r^2 leaves 0 out where the slope's does
    assert (found.explained_low > 0) == (found.slope_low > 0)
    exact = line(x, np.stack([2 * x, 2 * x], axis=1))
    assert (exact.slope, exact.slope_low, exact.explained, exact.explained_low) == pytest.approx((2, 2, 1, 1))
    assert np.isnan(line(np.ones(5), y[:, None]).slope)
    assert np.isnan(line(x, np.ones((5, 2))).slope)


def test_variance_between_scanners_is_not_explained():
    """The share falls by what scanners add, the effect doesn't."""
    x = np.arange(8.0)
    y = np.stack([x, x], axis=1) + np.random.default_rng(3).normal(0, 1, (8, 1))
    apart = y + np.array([-5.0, 5.0])
    assert line(x, apart).slope == pytest.approx(line(x, y).slope)
    share = y.mean(axis=1).var(ddof=1) / (y.mean(axis=1).var(ddof=1) + 25)
    assert line(x, apart).explained == pytest.approx(line(x, y).explained * share)


def test_the_noncentrality_is_that_of_the_distribution():
    for probability in (0.025, 0.975):
        found = noncentrality(12.0, 5, probability)
        assert stats.ncf.cdf(12.0, 1, 5, found) == pytest.approx(probability, abs=1e-5)
    assert noncentrality(0.1, 5, 0.975) == 0


@pytest.mark.parametrize("people", [6, 10, 18])
@pytest.mark.parametrize(("effect", "scatter", "noise"), [(0.0, 1.0, 0.5), (1.0, 0.5, 0.5), (1.0, 1.0, 1.0)])
def test_intervals_cover_what_they_should(people, effect, scatter, noise):
    """The slope's in 92 to 97 % of 1000 studies; r^2's in no fewer, and r^2 without bias."""
    rng = np.random.default_rng(people)
    x = np.linspace(-1, 1, people)
    scanners = np.array([0.0, 0.3, -0.3, 0.1])
    studies = []
    for _ in range(1000):
        means = effect * x + rng.normal(0, scatter, people)
        studies.append(line(x, means[:, None] + scanners + rng.normal(0, noise, (people, 4))))
    slopes = np.mean([study.slope_low <= effect <= study.slope_high for study in studies])
    assert 0.92 <= slopes <= 0.97
    signal = effect**2 * x.var(ddof=1)
    explained = signal / (signal + scatter**2 + noise**2 + scanners.var())
    assert np.mean([study.explained_low <= explained <= study.explained_high for study in studies]) >= 0.92
    assert np.mean([study.explained for study in studies]) == pytest.approx(explained, abs=0.05)


def test_a_ratio_of_sample_sizes_asks_for_an_effect_on_whose_sign_all_agree():
    assert sample_size_ratio(0.2, 0.2) == pytest.approx(1)
    assert sample_size_ratio(0.1, 0.2) == pytest.approx(9 / 4)
    assert np.isnan(sample_size_ratio(-0.1, 0.2))
    assert np.isnan(sample_size_ratio(0.1, -0.2))
    x = np.arange(8.0)
    bump = np.array([1.0, -1, -1, 1, 1, -1, -1, 1])[:, None]
    up, down, unsure = line(x, x[:, None] + bump), line(x, bump - x[:, None]), line(x, 0.01 * x[:, None] + bump)
    assert comparable(up, up, up)
    assert comparable(unsure, up, None)
    assert not comparable(up, unsure, None)
    assert not comparable(down, up, None)
    assert not comparable(up, up, down)


def test_covariates_are_numbers_or_two_groups_of_enough_people():
    def of(name, values):
        cells = (Cell(f"scan of {person}", person, text) for person, text in values.items())
        return contrasts(read_covariate(name, cells), list(values))

    ages = {str(number): str(60 + number) for number in range(6)}
    values, meaning = of("age", {**ages, "x": ""})
    assert meaning == "a year"
    assert values[0] == 60
    assert np.isnan(values[6])
    assert of("age", dict(list(ages.items())[:5])) is None
    with pytest.raises(InputError, match="scan of 0: age is '60y', which is no number; write age in years"):
        of("age", {person: f"{age}y" for person, age in ages.items()})
    groups = dict(zip("abcdefgh", ["AD", "HC", "AD", "HC", "AD", "HC", "HC", "MCI"], strict=True))
    values, meaning = of("diagnosis", groups)
    assert meaning == "HC - AD"
    assert list(values[:2]) == [0, 1]
    assert np.isnan(values[7])
    assert of("diagnosis", {**groups, "a": "HC"}) is None


@pytest.mark.parametrize("sum_column", ["volume_ml_pve", "volume_ml_hard"])
def test_noise_between_scanners_costs_people(sum_column):
    """An engine without partial volumes is judged by hard label."""
    rng = np.random.default_rng(0)
    ages = np.linspace(50, 85, 12)
    rows, scans, truth = [], [], []
    for number, age in enumerate(ages):
        true = 700 - 3 * age + rng.normal(0, 10)
        for scanner in "AB":
            scans.append(Scan(str(number), scanner, None, None, {"age": str(age)}))
            truth.append(("raw", str(number), scanner, "GM", true))
            for method, noise, sign in (("raw", 40.0, 1), ("better", 4.0, 1), ("turned", 4.0, -1)):
                volume = sign * (true + rng.normal(0, noise))
                rows.append((method, str(number), scanner, "GM", volume))
    keys = ["method", "subject", "scanner", "tissue"]
    volumes = pd.DataFrame(rows, columns=[*keys, sum_column])
    if sum_column == "volume_ml_pve":
        volumes["volume_ml_hard"] = 2 * volumes[sum_column]
    else:
        volumes["volume_ml_pve"] = np.nan
    tables = {"volumes": volumes, "truth": pd.DataFrame(truth, columns=[*keys, "true_volume_ml"])}
    measured = measured_of(Study(tuple(scans)), ["raw", "better", "turned"], tables)
    table = biology(measured)["biology"]
    assert list(table.method) == ["truth", "raw", "better", "turned"]
    table = table.set_index("method")
    assert table.loc["raw", "sample_size_ratio"] == pytest.approx(1)
    assert set(table.n) == {12}
    better = table.loc["better"]
    assert better.variance_explained > table.loc["raw", "variance_explained"]
    assert better.sample_size_ratio < 0.5
    assert better.effect_low_ml < -3 < better.effect_high_ml
    assert better.effect_ml == pytest.approx(-3, abs=0.7)
    assert better.effect_ml_hard == pytest.approx((2 if sum_column == "volume_ml_pve" else 1) * better.effect_ml)
    assert table.loc["truth", "effect_ml"] == pytest.approx(better.effect_ml, abs=0.3)
    assert table.loc["turned", "effect_ml"] > 0
    assert np.isnan(table.loc["turned", "sample_size_ratio"])
