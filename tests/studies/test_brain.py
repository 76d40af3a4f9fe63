"""How the brain is found in a native scan: what tells a stripped one from a whole head, and what is said of it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from core.atlas import atlas_file
from core.errors import InputError, Remark
from core.images import load_image, save_image, save_labels
from studies.__main__ import main
from studies.preprocessing.arrays import reorient
from studies.preprocessing.atlas import load_atlas
from studies.preprocessing.brain import deepbet_mask, is_stripped, own_mask, way_of
from studies.preprocessing.options import PreprocessOptions
from studies.sources import source
from tests.support.bids_dataset import make_dataset, t1w
from tests.support.heads import whole_head
from tests.support.shared import shared


@pytest.fixture(scope="module")
def atlas_brain() -> tuple[np.ndarray, np.ndarray]:
    """A skull-stripped brain of about 1900 mL on voxels of 2 mm, and its affine."""
    image, affine = reorient(*load_image(atlas_file("t1")))
    return image[::2, ::2, ::2], affine @ np.diag([2.0, 2.0, 2.0, 1.0])


def shrunk(affine: np.ndarray, factor: float) -> np.ndarray:
    return affine @ np.diag([factor, factor, factor, 1.0])


@pytest.mark.parametrize("empty", [0, 300, -500])
@pytest.mark.parametrize("size", [1, 0.85, 0.6])
def test_a_brain_on_any_one_background_is_stripped(atlas_brain, empty, size):
    image, affine = atlas_brain
    assert is_stripped(image + np.float32(empty), shrunk(affine, size))


def test_a_brain_cut_to_its_box_is_stripped_and_one_in_noise_is_not(atlas_brain):
    image, affine = atlas_brain
    places = np.argwhere(image > 0)
    box = tuple(slice(low, high + 1) for low, high in zip(places.min(axis=0), places.max(axis=0), strict=True))
    assert is_stripped(image[box], affine)
    noise = np.random.default_rng(0).normal(0, 1e-3, image.shape)
    assert not is_stripped((image + noise).astype(np.float32), affine)


@pytest.mark.parametrize(("air", "size"), [(4.0, 1.0), (0.0, 1.0), (0.0, 0.75)])
def test_a_head_with_noise_or_without_and_a_childs_are_whole(air, size):
    image, affine, _ = whole_head(air=air)
    options = PreprocessOptions()
    assert way_of(image, shrunk(affine, size), options) == "deepbet"
    # by its size a child's might be a brain
    if size < 1:
        assert np.count_nonzero(image) * 0.002**3 * size**3 * 1e6 < 2200
    assert way_of(image, affine, PreprocessOptions(brain="stripped")) == "stripped"


@pytest.mark.slow
def test_real_images_are_told_apart():
    assert not is_stripped(*reorient(*load_image(shared("data/studyforrest/T1w.nii.gz"))))
    for subject in ("01", "05", "64"):
        assert is_stripped(*reorient(*load_image(shared(f"data/ds002748/sub-{subject}/anat/sub-{subject}_T1w.nii.gz"))))


@pytest.mark.slow
def test_deepbet_finds_the_brain_in_a_head_with_a_neck(tmp_path):
    image, affine, truth = whole_head()
    found = own_mask(tmp_path / "head.nii.gz", image, affine, PreprocessOptions(), None)
    assert 2 * np.count_nonzero(found & truth) / (found.sum() + truth.sum()) > 0.93
    with pytest.raises(InputError, match=r"nothing.nii: deepbet found no brain in it .*brain: given"):
        deepbet_mask(tmp_path / "nothing.nii", np.zeros_like(image), affine, 1)


def test_what_is_no_stripped_brain_is_refused_where_it_is_called_one(atlas_brain, tmp_path):
    image, affine = atlas_brain
    stripped = PreprocessOptions(brain="stripped")
    path = tmp_path / "a.nii"
    head, wide, _ = whole_head(air=0)
    with pytest.raises(InputError, match=r"a.nii: \d+ mL stand out from its background, a brain has at most 2500"):
        own_mask(path, head, wide, stripped, None)
    with pytest.raises(InputError, match="a.nii: its border isn't of one value"):
        own_mask(path, whole_head()[0], wide, stripped, None)
    # centered by its own mean, as z-scored images are
    with pytest.raises(InputError, match="a.nii: 4[0-9]% of its brain is below 0"):
        own_mask(path, image - image[image > 0].mean(), affine, PreprocessOptions(), None)


@pytest.mark.slow
def test_without_deepbet_a_study_is_refused_before_any_work(atlas_brain, tmp_path, monkeypatch):
    image, affine = atlas_brain
    dataset = make_dataset(tmp_path, t1w("01", "a"))
    save_image(dataset / t1w("01", "a"), image, affine)
    options = {"dataset": str(dataset), "scanner": "ses"}
    source("bids").check(options)
    monkeypatch.setitem(sys.modules, "deepbet", None)
    for use in (source("bids").plan, source("bids").check):
        with pytest.raises(InputError, match=r'bids needs deepbet, not installed .*"mispel-benchmark\[scans\]"'):
            use(options)
    source("bids").check(options | {"brain": "stripped"})


def test_a_sheet_takes_a_head_by_its_brains_mask_alone(tmp_path):
    head, affine, inside = whole_head(air=0)
    save_image(tmp_path / "head.nii.gz", head, affine)
    for name, mask in (("brain", inside), ("everything", head > 0)):
        save_labels(tmp_path / f"{name}.nii.gz", mask, affine)
        (tmp_path / "scans.tsv").write_text(f"subject\tscanner\timage\tmask\n01\ta\thead.nii.gz\t{name}.nii.gz\n")
        if name == "brain":
            source("sheet").check({"scans": str(tmp_path / "scans.tsv")})
    with pytest.raises(InputError, match=r"everything.nii.gz holds \d+ mL, a brain has at most 2500"):
        source("sheet").check({"scans": str(tmp_path / "scans.tsv")})
    with pytest.raises(InputError, match=r"head.nii.gz: shows more than a brain.*give atlas.mask"):
        load_atlas(PreprocessOptions(atlas={"image": str(tmp_path / "head.nii.gz")}))


@pytest.mark.slow
def test_previews_say_image_by_image_how_brains_are_found(atlas_brain, tmp_path, capsys):
    image, affine = atlas_brain
    head, wide, _ = whole_head(air=0)
    dataset = make_dataset(tmp_path, t1w("01", "a"), t1w("01", "b"))
    save_image(dataset / t1w("01", "a"), image, affine)
    save_image(dataset / t1w("01", "b"), head, wide)
    main(["bids", str(dataset)])
    told = capsys.readouterr().out
    assert f"{t1w('01', 'a')}: skull-stripped, kept as it is" in told
    assert f"{t1w('01', 'b')}: whole head, its brain found by deepbet" in told
    main(["preprocess", str(dataset), "--scanner", "ses", "--brain", "atlas"])
    assert "2 images: by the atlas's mask, carried over" in capsys.readouterr().out


def test_a_given_mask_that_is_too_wide_gives_the_stripped_brain_and_is_told(atlas_brain, tmp_path):
    image, affine = atlas_brain
    save_labels(tmp_path / "mask.nii.gz", (image > 0) | np.roll(image > 0, 1, 0), affine)
    given = PreprocessOptions(brain="given")
    with pytest.warns(Remark, match="mask.nii.gz, the mask of .*a.nii: .* background of the image"):
        mask = own_mask(tmp_path / "a.nii", image, affine, given, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(mask, image > 0)
