"""One rule for what is brain: what an image shows as background is none, by hand and in a run. Wrong masks."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from core.brain import background_of, brain_of
from core.errors import InputError, Remark
from core.images import load_image, load_mask, save_image, save_labels
from core.sheet import read_sheet
from evaluation.__main__ import main as evaluation
from studies.__main__ import main as studies
from studies.sources import source
from tests.support.made_up_study import made_up_brain, scanned, write_study

FINE = np.diag([3.0, 3.0, 3.0, 1.0])
EVERY_SIDE = ndimage.generate_binary_structure(3, 1)


def fine_brain() -> tuple[np.ndarray, np.ndarray]:
    """A made-up image and its mask at 3 mm, where a voxel is a small part of a brain."""
    labels, mask = (np.repeat(np.repeat(np.repeat(part, 2, 0), 2, 1), 2, 2) for part in made_up_brain(0))
    return 700 * scanned(labels, mask, (0.3, 0.8, 1.3), 0), mask


IMAGE, MASK = fine_brain()


@pytest.mark.parametrize("background", [0.0, 100.0])
@pytest.mark.parametrize("steps", [(1, 0, 0), (0, 1, 0), (0, 0, -1), None])
def test_a_mask_too_wide_gives_the_image_s_own_brain_and_is_told(background, steps):
    """One voxel too wide along one axis, or on every side; the background may be any one value."""
    wide = ndimage.binary_dilation(MASK, EVERY_SIDE) if steps is None else MASK | np.roll(MASK, steps, (0, 1, 2))
    image = np.where(MASK, IMAGE + background, background).astype(np.float32)
    count = np.count_nonzero(wide & ~MASK)
    with pytest.warns(Remark, match=f"^here: {count} of the mask's .* are background .* taken as no brain$"):
        np.testing.assert_array_equal(brain_of(image, wide, "here"), MASK)


@pytest.mark.parametrize("level", [0.0, 100.0])
@pytest.mark.parametrize("noise", [1e-6, 1e-3, 0.4, 2.0])
def test_a_background_of_nearly_one_value_is_background_too(noise, level):
    """As the ringing of an image that was resampled after its extraction. The brain's mean is about 530."""
    ringing = np.random.default_rng(0).normal(0, noise / 2, MASK.shape)
    image = np.where(MASK, IMAGE, ringing) + level
    with pytest.warns(Remark, match="taken as no brain"):
        found = brain_of(image.astype(np.float32), ndimage.binary_dilation(MASK, EVERY_SIDE), "here")
    assert not np.any(MASK & ~found)
    assert np.count_nonzero(found & ~MASK) <= 1e-3 * MASK.sum()


def test_an_image_with_its_own_mask_is_told_nothing_of(recwarn):
    np.testing.assert_array_equal(brain_of(IMAGE, MASK, "here"), MASK)
    head = IMAGE + np.random.default_rng(0).uniform(1, 90, MASK.shape)
    np.testing.assert_array_equal(brain_of(head, MASK, "here"), MASK)
    aired = np.where(ndimage.binary_dilation(MASK, EVERY_SIDE, 8), head, 0)
    np.testing.assert_array_equal(brain_of(aired, MASK, "here"), MASK)
    assert not recwarn.list


def test_what_a_mask_leaves_out_is_told():
    narrow = ndimage.binary_erosion(MASK, EVERY_SIDE)
    with pytest.warns(Remark, match=f"{np.count_nonzero(MASK & ~narrow)} voxels of the image .* left out"):
        np.testing.assert_array_equal(brain_of(IMAGE, narrow, "here"), narrow)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (~MASK, "at most 25% may be: it is no brain mask"),
        (np.ones_like(MASK), "at most 25% may be: it is no brain mask"),
        (np.roll(MASK, 4, 0), "moved, mirrored or made for another scan"),
        (np.roll(MASK, (-3, 3), (1, 2)), "moved, mirrored or made for another scan"),
    ],
)
def test_a_mask_that_is_not_the_image_s_is_refused(mask, message):
    with pytest.raises(InputError, match=f"^here: .*{message}"):
        brain_of(IMAGE, mask, "here")


@given(st.lists(st.sampled_from([0.0, 1.0, 7.5]), min_size=1, max_size=60), st.integers(0, 59))
def test_the_background_s_value_is_the_one_that_most_voxels_outside_have(outside, brain):
    values = np.array([*outside, *[3.0] * brain]).reshape(-1, 1, 1)
    found = background_of(values, values == 3)
    most = max(set(outside), key=outside.count)
    assert found == ((most, most) if 2 * outside.count(most) > len(outside) else None)


def prepared(sheet, folder) -> dict[str, bytes]:
    """The bytes of a sheet's scans as they enter a study."""
    options = {"scans": str(sheet), "scale": "brain"}
    for subject in ("01", "02"):
        source("sheet").prepare(options, subject, folder)
    return {path.name: path.read_bytes() for path in folder.glob("*.nii.gz")}


def test_a_study_with_wide_masks_is_the_study_with_the_right_ones(tmp_path):
    sheet = write_study(tmp_path / "own", subjects=2)
    right = prepared(sheet, tmp_path / "right")
    values = read_sheet(sheet, scale="brain").scans[0].read()
    for subject in ("01", "02"):
        mask, affine = load_mask(tmp_path / "own" / f"{subject}_mask.nii.gz")
        save_labels(tmp_path / "own" / f"{subject}_mask.nii.gz", mask | np.roll(mask, 1, 0), affine)
    options, told = json.dumps({"scans": str(sheet), "scale": "brain"}), tmp_path / "remarks.json"
    words = ["--options", options, "--out", str(tmp_path / "options.json"), "--remarks", str(told)]
    with pytest.warns(Remark):
        studies(["check", "--source", "sheet", *words])
    remarks = json.loads(told.read_text())
    assert len(remarks) == 6
    assert re.search("01_mask.nii.gz, the mask of .*01_0.nii.gz: .* no brain", remarks[0])
    with pytest.warns(Remark, match="01_mask.nii.gz, the mask of .*01_0.nii.gz: .* no brain"):
        by_hand = read_sheet(sheet, scale="brain").scans[0]
    np.testing.assert_array_equal(by_hand.read(), values)
    with pytest.warns(Remark, match="no brain"):
        assert prepared(sheet, tmp_path / "wide") == right


def test_verbs_by_hand_take_the_same_brain(tmp_path, capsys):
    """Labels, and similarity of two images, are those of the right mask."""
    save_image(tmp_path / "a.nii.gz", IMAGE, FINE)
    save_image(tmp_path / "b.nii.gz", np.where(MASK, IMAGE**0.9, 0), FINE)
    save_labels(tmp_path / "right.nii.gz", MASK, FINE)
    save_labels(tmp_path / "wide.nii.gz", ndimage.binary_dilation(MASK, EVERY_SIDE), FINE)
    found = {}
    a, b = str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz")
    for name in ("right", "wide"):
        mask, out = str(tmp_path / f"{name}.nii.gz"), tmp_path / f"{name}_labels.nii.gz"
        evaluation(["segment", "--image", a, "--mask", mask, "--engine", "gmm", "--out", str(out)])
        evaluation(["ssim", a, b, "--mask", mask, "--data-range", "900"])
        evaluation(["pearson", a, b, "--mask", mask])
        found[name] = out.read_bytes(), capsys.readouterr().out
    assert found["wide"] == found["right"]


# --- what else a sheet's scans are refused for ---------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    sheet = write_study(tmp_path, subjects=2)
    return sheet, pd.read_csv(sheet, sep="\t", dtype=str)


@pytest.mark.parametrize("scale", ["brain", "none"])
def test_negative_images_are_refused_when_a_study_is_checked(scale, own):
    """As z-scored ones; by hand, unscaled, they are taken, as White Stripe's are."""
    sheet, table = own
    path = sheet.parent / table["image"][1]
    image, affine = load_image(path)
    mask, _ = load_mask(sheet.parent / table["mask"][1])
    save_image(path, np.where(mask, (image - image[mask].mean()) / image[mask].std(), 0), affine)
    with pytest.raises(InputError, match=rf"row 3: {path}: \d+ voxels in the brain are negative.*not z-scored"):
        source("sheet").check({"scans": str(sheet), "scale": scale})
    assert len(read_sheet(sheet).scans) == 6
    with pytest.raises(InputError, match="are negative"):
        read_sheet(sheet, scale="brain")


@pytest.mark.parametrize("how", ["path", "copy", "repacked"])
def test_one_image_in_two_rows_is_refused_by_both(how, own):
    sheet, table = own
    first = sheet.parent / table["image"][0]
    copied = sheet.parent / "copied.nii"
    if how == "copy":
        copied = sheet.parent / "copied.nii.gz"
        copied.write_bytes(first.read_bytes())
    elif how == "repacked":
        save_image(copied, *load_image(first))
    table.loc[3, "image"] = table["image"][0] if how == "path" else copied.name
    table.to_csv(sheet, sep="\t", index=False)
    with pytest.raises(InputError, match=f"row 5: .* has the same voxels as {re.escape(str(first))} .*row 2"):
        read_sheet(sheet)


@pytest.mark.parametrize("change", [lambda image: 2 * image, np.round, lambda image: np.where(image > 0, image, 3)])
def test_one_image_on_two_scales_is_told(change, own):
    sheet, table = own
    image, affine = load_image(sheet.parent / table["image"][0])
    save_image(sheet.parent / "changed.nii.gz", change(image).astype(np.float32), affine)
    table.loc[3, "image"] = "changed.nii.gz"
    table.to_csv(sheet, sep="\t", index=False)
    with pytest.warns(Remark, match=r"row 5: .*changed.nii.gz is .* \(.*row 2\) but for its scale or rounding"):
        read_sheet(sheet)


def test_noise_free_simulated_rescans_may_be_alike(own):
    sheet, table = own
    image, affine = load_image(sheet.parent / table["image"][0])
    save_image(sheet.parent / "again.nii.gz", image, affine)
    again = table[:1].assign(image="again.nii.gz")
    rows = pd.concat([table.assign(session="1"), again.assign(session="2")])
    rows.to_csv(sheet, sep="\t", index=False)
    with pytest.raises(InputError, match="same voxels"):
        read_sheet(sheet)
    rows.assign(simulated="simulated").to_csv(sheet, sep="\t", index=False)
    with pytest.warns(Remark, match="a rescan without noise says nothing"):
        assert len(read_sheet(sheet).rescans) == 1
