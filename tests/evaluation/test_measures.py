"""The measures on small arrays: definitions, invariances, and what a wrong version would get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

import evaluation
from core.errors import InputError
from core.files import read_table
from evaluation.arms.intensities import (
    Intensities,
    map_to_reference,
    measure_intensities,
    on_reference_scale,
)
from evaluation.arms.percentiles import percentiles
from evaluation.measures import registry, truth_anatomy
from evaluation.measures.interface import Range
from evaluation.measures.overlap import dice, dice_by_tissue
from evaluation.measures.similarity import pairwise, pearson, ssim
from evaluation.measures.truth_images import similarity_with_truth
from evaluation.measures.volumes import (
    fraction_volumes,
    label_volumes,
    rmse,
    rmse_table,
    volume_differences,
)
from tests.support.measured import measured_of

PAPER = Path(evaluation.__file__).parent / "tables" / "paper"


def head(seed: int, shape: tuple[int, int, int] = (18, 20, 16)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two alike images of positive intensities and an off-center mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, dtype=bool)
    mask[3:14, 4:18, 2:13] = True
    mask &= rng.random(shape) > 0.02
    image = np.where(mask, 1 + rng.random(shape), 0).astype(np.float32)
    other = np.where(mask, image + 0.2 * rng.standard_normal(shape), 0).astype(np.float32)
    return image, other, mask


def on_background(image: np.ndarray, mask: np.ndarray, low: float, margin: int = 8) -> np.ndarray:
    return np.pad(np.where(mask, image, low), margin, constant_values=low).astype(np.float64)


@pytest.mark.parametrize(("low", "scale"), [(0.0, 1.0), (0.9, 1.0), (-4.0, 7.5)])
def test_ssim_is_that_of_scikit_image(low, scale):
    a, b, mask = head(0)
    a, b = a * scale + low, b * scale + low
    _, values = structural_similarity(
        on_background(a, mask, low),
        on_background(b, mask, low),
        data_range=2.0 * scale,
        gaussian_weights=True,
        use_sample_covariance=False,
        sigma=1.5,
        full=True,
    )
    expected = values[np.pad(mask, 8)].mean()
    assert ssim(a, b, mask, low=low, data_range=2.0 * scale) == pytest.approx(expected, abs=2e-6)


def test_ssim_of_identical_images_is_one_and_its_order_does_not_matter():
    a, b, mask = head(1)
    assert ssim(a, a, mask, data_range=1) == pytest.approx(1, abs=1e-6)
    assert ssim(a, b, mask, data_range=1) == ssim(b, a, mask, data_range=1) < 0.99


@settings(max_examples=20, deadline=None)
@given(
    margins=st.tuples(*[st.tuples(st.integers(0, 9), st.integers(0, 9))] * 3),
    background=st.floats(-100, 100, width=32),
)
def test_padding_and_background_change_nothing(margins, background):
    a, b, mask = head(2)
    expected = ssim(a, b, mask, low=0.5, data_range=2)
    padded = [np.pad(np.where(mask, x, np.float32(background)), margins) for x in (a, b)]
    assert ssim(*padded, np.pad(mask, margins), low=0.5, data_range=2) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.01, 1000))
def test_a_common_factor_changes_nothing(factor):
    a, b, mask = head(3)
    expected = ssim(a, b, mask, low=0.5, data_range=2)
    scaled = ssim(a * factor, b * factor, mask, low=0.5 * factor, data_range=2 * factor)
    assert scaled == pytest.approx(expected, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(slope=st.floats(0.01, 100), intercept=st.floats(-50, 50))
def test_correlation_is_affine_invariant(slope, intercept):
    a, b, mask = head(4)
    mapped = b.astype(np.float64) * slope + intercept
    assert pearson(a, mapped, mask) == pytest.approx(pearson(a, b, mask), abs=1e-6)
    assert pearson(a, mapped, mask) == pytest.approx(np.corrcoef(a[mask], b[mask])[0, 1], abs=1e-6)


def test_correlation_with_a_constant_image_is_not_a_number():
    a, _, mask = head(4)
    assert np.isnan(pearson(a, np.ones_like(a), mask))


def test_ssim_refuses_what_has_no_answer():
    a, b, mask = head(5)
    with pytest.raises(InputError, match="data range of 0"):
        ssim(a, b, mask, data_range=0)
    with pytest.raises(InputError, match="mask is empty"):
        ssim(a, b, np.zeros_like(mask), data_range=1)
    with pytest.raises(InputError, match="shapes"):
        ssim(a, b[1:], mask, data_range=1)


def similarities(images, masks, arm: Intensities, raw: Intensities):
    return pairwise(images, masks, own=Range(arm.low, arm.high), reference=Range(raw.low, raw.high))


def intensities_of(method: str, images: dict, mask: np.ndarray) -> Intensities:
    return measure_intensities(method, lambda: (image[mask] for image in images.values()), len(images))


def test_pairs_agree_with_the_measures_by_hand_and_share_nothing_wrongly():
    a, b, mask = head(6)
    c = np.where(mask, a[::-1], 0)
    images = {"GE": a, "Philips": b, "Trio": c}
    masks = {"GE": mask, "Philips": np.roll(mask, 1, axis=0), "Trio": mask}
    raw = Intensities("raw", 0.9, 2.1, 0, 3, 3, 10)
    found = similarities(images, masks, raw, raw)
    assert list(found) == [("GE", "Philips"), ("GE", "Trio"), ("Philips", "Trio")]
    trio = found["GE", "Trio"]
    assert trio.ssim == pytest.approx(ssim(a, c, mask, low=0.9, data_range=1.2), abs=1e-6)
    assert trio.ssim_own_scale == pytest.approx(trio.ssim, abs=1e-6)
    assert trio.pearson == pytest.approx(pearson(a, c, mask), abs=1e-6)
    both = masks["GE"] & masks["Philips"]
    assert found["GE", "Philips"].pearson == pytest.approx(pearson(a, b, both), abs=1e-6)
    apart = {"GE": mask, "Philips": np.zeros_like(mask), "Trio": mask}
    apart["Philips"][0, 0, 0] = True
    with pytest.raises(InputError, match="GE and Philips have no voxel in common"):
        similarities(images, apart, raw, raw)


def apart(seed: int = 8) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Range]:
    """Two alike images with masks that differ a little, and a range."""
    a, b, mask = head(seed)
    masks = {"GE": mask, "Trio": mask & (np.random.default_rng(seed).random(mask.shape) > 0.03)}
    return {"GE": a, "Trio": np.where(masks["Trio"], b, 0)}, masks, Range(0.9, 2.1)


def test_the_flat_window_is_that_of_scikit_image_in_the_mask_and_on_the_grid():
    images, masks, span = apart()
    found = pairwise(images, masks, own=span, reference=span)["GE", "Trio"]
    volumes = [on_background(images[name], masks[name], span.low) for name in images]
    values = np.stack(
        [
            structural_similarity(volumes[0][..., z], volumes[1][..., z], data_range=span.high - span.low, full=True)[1]
            for z in range(volumes[0].shape[2])
        ],
        axis=-1,
    )
    both = np.pad(masks["GE"] & masks["Trio"], 8)
    assert found.ssim_2d == pytest.approx(values[both].mean(), abs=2e-6)
    assert found.ssim_grid == pytest.approx(values[8:-8, 8:-8, 8:-8].mean(), abs=2e-6)


def test_a_box_of_a_grid_gives_the_grids_ssim():
    """Cut so that windows reach beyond the box, and where the grid ends at the brain."""
    images, masks, span = apart()
    for edge in (0, 4):
        grid = {name: image[:, edge:] for name, image in images.items()}, {n: m[:, edge:] for n, m in masks.items()}
        expected = pairwise(*grid, own=span, reference=span)["GE", "Trio"]
        cut = np.s_[3:14, 4 - edge : 18 - edge, 2:13]
        boxed = ({name: array[cut] for name, array in arrays.items()} for arrays in grid)
        where = {"origin": (3, 4 - edge, 2), "grid_shape": grid[1]["GE"].shape}
        assert pairwise(*boxed, own=span, reference=span, **where)["GE", "Trio"].ssim_grid == pytest.approx(
            expected.ssim_grid, abs=1e-7
        )


def test_of_an_affine_copy_the_ceiling_is_one():
    a, b, mask = head(9)
    span = Range(0.9, 2.1)
    masks = {"GE": mask, "Trio": mask}
    copy = np.where(mask, 0.5 * a + 0.7, 0).astype(np.float32)
    found = pairwise({"GE": a, "Trio": copy}, masks, own=span, reference=span, ceiling=True)["GE", "Trio"]
    assert found.ssim < 0.95
    assert found.ssim_affine_ceiling == pytest.approx(1, abs=2e-3)
    assert np.isnan(pairwise({"GE": a, "Trio": b}, masks, own=span, reference=span)["GE", "Trio"].ssim_affine_ceiling)


@settings(max_examples=10, deadline=None)
@given(slope=st.floats(0.5, 2), intercept=st.floats(-0.5, 0.5), seed=st.integers(0, 99))
def test_no_affine_map_of_either_scan_passes_the_ceiling(slope, intercept, seed):
    images, masks, span = apart(seed)
    ceiling = pairwise(images, masks, own=span, reference=span, ceiling=True)["GE", "Trio"].ssim_affine_ceiling
    for name in images:
        mapped = images | {name: np.where(masks[name], slope * images[name] + intercept, 0)}
        reached = pairwise(mapped, masks, own=span, reference=span)["GE", "Trio"].ssim
        # the search looks at some of the voxels, and so small an image has few
        assert reached <= ceiling + 0.005


@settings(max_examples=15, deadline=None)
@given(slope=st.floats(0.05, 50), intercept=st.floats(-20, 20))
def test_on_the_common_scale_an_affine_copy_of_raw_is_raw(slope, intercept):
    a, b, mask = head(7)
    images, masks = {"GE": a, "Trio": b}, {"GE": mask, "Trio": mask}
    raw = intensities_of("raw", images, mask)
    copies = {name: np.where(mask, slope * image.astype(float) + intercept, 0) for name, image in images.items()}
    arm = intensities_of("copy", copies, mask)
    original = similarities(images, masks, raw, raw)["GE", "Trio"]
    copied = similarities(copies, masks, arm, raw)["GE", "Trio"]
    assert original.ssim_own_scale == pytest.approx(original.ssim, abs=1e-6)
    assert copied.ssim == pytest.approx(original.ssim, abs=1e-4)
    assert copied.pearson == pytest.approx(original.pearson, abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6, width=32), max_size=30),
        min_size=1,
        max_size=4,
    ).filter(lambda blocks: any(blocks)),
    st.lists(st.floats(0, 100), min_size=1, max_size=4),
)
def test_percentiles_by_blocks_are_those_of_numpy(blocks, percents):
    vectors = [np.array(block, dtype=np.float32) for block in blocks]
    found, total = percentiles(lambda: iter(vectors), percents)
    everything = np.concatenate(vectors).astype(np.float64)
    assert total == everything.size
    np.testing.assert_allclose(found, np.percentile(everything, percents), rtol=1e-12, atol=1e-9)


def test_an_arm_without_contrast_is_refused():
    with pytest.raises(InputError, match="no contrast"):
        measure_intensities("flat", lambda: iter([np.ones(500, dtype=np.float32)]), 1)
    with pytest.raises(InputError, match="no brain voxels"):
        measure_intensities("none", lambda: iter([]), 0)


def test_intensities_are_kept_in_a_file(tmp_path):
    kept = Intensities("raw", 0.1, 1.9, -0.5, 4.0, 3, 12)
    kept.write(tmp_path / "raw.json")
    assert Intensities.read(tmp_path / "raw.json") == kept
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match="other.json: not an arm's intensities"):
        Intensities.read(tmp_path / "other.json")


def test_raw_reaches_the_segmenter_times_1000_and_above_zero():
    a, _, mask = head(8)
    a[mask & (a > 1.9)] = 0
    a[mask & (a > 1.8)] = -0.3
    raw = intensities_of("raw", {"GE": a}, mask)
    mapped = map_to_reference(a, mask, raw, raw)
    assert mapped.dtype == np.float32
    np.testing.assert_array_equal(mapped[mask & (a > 0)], a[mask & (a > 0)] * np.float32(1000))
    assert (mapped[mask] > 0).all()
    assert (mapped[~mask] == 0).all()


@settings(max_examples=20, deadline=None)
@given(slope=st.floats(0.001, 1000), intercept=st.floats(-20, 20))
def test_an_affine_copy_of_raw_reaches_the_segmenter_as_raw(slope, intercept):
    a, b, mask = head(9)
    raw = intensities_of("raw", {"GE": a, "Trio": b}, mask)
    intercept *= slope
    copies = {"GE": a * slope + intercept, "Trio": b * slope + intercept}
    arm = intensities_of("copy", copies, mask)
    expected = map_to_reference(a, mask, raw, raw)
    np.testing.assert_allclose(map_to_reference(copies["GE"], mask, arm, raw), expected, rtol=1e-4, atol=0.05)


def test_dice_by_hand():
    a = np.array([1, 1, 0, 0], dtype=bool)
    b = np.array([0, 1, 1, 0], dtype=bool)
    assert dice(a, b) == dice(b, a) == 0.5
    assert dice(a, a) == 1
    assert dice(a, ~a) == 0
    assert np.isnan(dice(a & ~a, b & ~b))
    with pytest.raises(InputError, match="one grid"):
        dice(a, b[1:])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_dice_is_symmetric_and_keeps_under_a_permutation_of_voxels(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, (2, 60)).astype(np.uint8)
    order = rng.permutation(60)
    assert dice_by_tissue(a, b) == dice_by_tissue(b, a) == dice_by_tissue(a[order], b[order])


def test_volumes_in_millilitres_and_by_tissue():
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[0], labels[1, :2], labels[2, 0, 0] = 1, 2, 3
    assert label_volumes(labels, 0.008) == pytest.approx({"CSF": 0.128, "GM": 0.064, "WM": 0.008})
    fractions = np.stack([labels == 1, labels == 2, labels == 3], axis=-1) * np.float32(0.5)
    assert fraction_volumes(fractions, 0.008) == pytest.approx({"CSF": 0.064, "GM": 0.032, "WM": 0.004})


def test_a_copy_on_a_finer_grid_has_the_same_volume():
    labels = np.random.default_rng(0).integers(0, 4, (6, 6, 6)).astype(np.uint8)
    fine = labels.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    assert label_volumes(fine, 0.001) == pytest.approx(label_volumes(labels, 0.008))


def volumes_table() -> pd.DataFrame:
    rows = [
        ("raw", subject, scanner, "GM", 600 + 10 * number + 3 * offset)
        for number, subject in enumerate(["01", "02", "03"])
        for offset, scanner in enumerate(["GE", "Philips", "Trio"])
    ]
    return pd.DataFrame(rows, columns=["method", "subject", "scanner", "tissue", "volume_ml"])


def test_volume_differences_of_every_pair_and_without_a_missing_scan():
    pairs = [("GE", "Philips"), ("GE", "Trio"), ("Philips", "Trio")]
    table = volumes_table()
    found = volume_differences(table, pairs)
    assert len(found) == 9
    assert set(found.query("scanner_a == 'GE' and scanner_b == 'Trio'")["difference_ml"]) == {-6}
    assert (found["absolute_difference_ml"] == found["difference_ml"].abs()).all()
    without = volume_differences(table[(table.subject != "02") | (table.scanner != "GE")], pairs)
    assert len(without) == 7
    assert list(without.query("subject == '02'")["scanner_a"]) == ["Philips"]


def test_rmse_by_hand():
    assert rmse(np.array([3.0, -4.0, 0.0, 5.0])) == pytest.approx(np.sqrt(12.5))


def test_rmse_does_not_depend_on_the_order_of_subjects():
    differences = volume_differences(volumes_table(), [("GE", "Trio"), ("GE", "Philips")])
    differences["difference_ml"] += np.arange(len(differences))
    shuffled = differences.groupby(["scanner_b"], sort=False).sample(frac=1, random_state=3)
    table = rmse_table(differences)
    pd.testing.assert_frame_equal(table, rmse_table(shuffled))
    assert set(table["n"]) == {3}
    assert (table["ci_low"] < table["rmse_ml"]).all()
    assert (table["rmse_ml"] < table["ci_high"]).all()


def test_the_papers_own_rmse_follows_from_its_means():
    table = read_table(PAPER / "table3_volume_differences.tsv")
    row = table.query("tissue == 'GM' and method == 'RAW' and pair == 'GE-Prisma'").iloc[0]
    absolute = np.random.default_rng(5).gamma(2, 1, 18)
    absolute = (absolute - absolute.mean()) / absolute.std(ddof=1) * row.sd_ml + row.mean_ml
    assert rmse(absolute) == pytest.approx(np.sqrt(row.mean_ml**2 + row.sd_ml**2 * 17 / 18))


def test_the_truth_is_nearest_to_itself():
    a, b, mask = head(10)
    truths = {"GE": a, "Trio": np.where(mask, a * 1.3, 0).astype(np.float32)}
    masks = {"GE": mask, "Trio": mask}
    itself = similarity_with_truth(truths, masks, truths, reference=Range(0.9, 2.1))
    noisy = similarity_with_truth({"GE": b, "Trio": truths["Trio"]}, masks, truths, reference=Range(0.9, 2.1))
    assert itself["GE"].ssim_truth == pytest.approx(1, abs=1e-6)
    assert itself["GE"].pearson_truth == pytest.approx(1)
    assert itself["GE"].ssim_truth_mean < 1
    assert noisy["GE"].ssim_truth < itself["GE"].ssim_truth
    mean = dict.fromkeys(truths, (truths["GE"] + truths["Trio"]) / 2)
    assert similarity_with_truth(mean, masks, truths, reference=Range(0.9, 2.1))["GE"].ssim_truth_mean == pytest.approx(
        1
    )


def test_an_arm_of_volumes_has_errors_of_volumes_and_no_dice_with_the_truth(study):
    rows = [
        {"method": arm, "subject": scan.subject, "scanner": scan.scanner, "tissue": tissue}
        for arm in ("raw", "combat_volumes")
        for scan in study.scans[:2]
        for tissue in ("CSF", "GM", "WM")
    ]
    values = {f"volume_ml{ending}": np.arange(12.0) + 100 for ending in ("", "_hard", "_pve")}
    volumes = pd.DataFrame(rows).assign(**values)
    truth = volumes.loc[volumes["method"] == "raw", ["method", "subject", "scanner", "tissue"]]
    truth = truth.assign(true_volume_ml=90.0, dice_truth=0.5)
    found = truth_anatomy.of_study(measured_of(study, ["raw", "combat_volumes"], {"truth": truth, "volumes": volumes}))[
        "truth"
    ]
    assert list(found["method"]) == ["raw"] * 6 + ["combat_volumes"] * 6
    np.testing.assert_allclose(found["volume_error_ml_pve"], np.arange(12.0) + 10)
    assert found["dice_truth"].isna().tolist() == [False] * 6 + [True] * 6


def test_an_image_on_raws_scale_keeps_its_zero_background():
    _a, _, mask = head(11)
    raw = Intensities("raw", 0.9, 2.1, 0, 3, 1, 1)
    arm = Intensities("arm", -2.0, 4.0, -3, 5, 1, 1)
    mapped = on_reference_scale(np.where(mask, -2.0, 7.0), mask, arm, raw)
    np.testing.assert_allclose(mapped[mask], 0.9, rtol=1e-6)
    assert (mapped[~mask] == 0).all()


def test_a_measure_says_which_way_is_better():
    assert registry.find("ssim").improves(0.1)
    assert not registry.find("ssim").improves(-0.1)
    assert registry.find("volume_difference").improves(-1)
    assert not registry.find("volume_difference").improves(0)
    with pytest.raises(InputError, match="did you mean 'ssim'"):
        registry.find("sssim")
    for name, measure in registry.measures().items():
        assert name == measure.name
        assert measure.lowest < measure.highest
        assert measure.definition
