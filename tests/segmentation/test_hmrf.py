"""The engine hmrf against what FAST gives, and what mustn't change its result."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from core.errors import InputError
from core.names import TISSUES
from segmentation import Segmentation, labels_at, segment, volumes_ml
from segmentation.engines import hmrf
from segmentation.spread import IN_DOUBT, reaches
from tests.support.made_up_study import AFFINE, made_up_brain, scanned
from tests.support.paths import DATA
from tests.support.shared import shared

ATLAS = DATA / "fast_mni152"
SIZES = tuple(np.diag(AFFINE)[:3])


def dice(a: np.ndarray, b: np.ndarray, label: int) -> float:
    a, b = a == label, b == label
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def read_labels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@cache
def atlas(resolution: int) -> np.ndarray:
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    image = load_mni152_template(resolution).get_fdata() * load_mni152_brain_mask(resolution).get_fdata()
    return (image * 1000 / image.max()).astype(np.float32)


@cache
def segmented_atlas() -> Segmentation:
    image = atlas(2)
    return segment(image, image > 0, (2, 2, 2), partial_volumes=True)


def check_against_fast(found: Segmentation, labels: np.ndarray, volumes: pd.Series, voxel_ml: float, least: float):
    ours = labels_at(found)
    for label, tissue in enumerate(TISSUES, start=1):
        assert dice(ours, labels, label) >= least, tissue
    assert volumes_ml(found, voxel_ml)["posterior"] == pytest.approx(dict(volumes), rel=0.002)
    # no class takes its neighbors' voxels in images on which FAST itself was run
    assert reaches(found.means, found.variances).max() < IN_DOUBT - 0.05


def fast_volumes(folder: Path, image: str, column: str) -> pd.Series:
    table = pd.read_csv(folder / "volumes_ml.tsv", sep="\t")
    return table[table["image"] == image].set_index("tissue")[column]


@pytest.mark.slow
def test_fast_on_the_atlas_at_2_mm():
    volumes = fast_volumes(ATLAS, "mni152_2mm", "prob_gt_0.8")
    check_against_fast(segmented_atlas(), read_labels(ATLAS / "mni152_2mm_prob08.nii.gz"), volumes, 0.008, 0.999)
    hard = read_labels(ATLAS / "mni152_2mm_hard.nii.gz")
    assert all(dice(segmented_atlas().labels, hard, label) > 0.999 for label in (1, 2, 3))


@pytest.mark.slow
def test_fast_on_the_atlas_at_1_mm():
    image = atlas(1)
    found = segment(image, image > 0, (1, 1, 1), threads=2)
    volumes = fast_volumes(ATLAS, "mni152_1mm", "prob_gt_0.8")
    check_against_fast(found, read_labels(ATLAS / "mni152_1mm_prob08.nii.gz"), volumes, 0.001, 0.999)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ds01_1mm", "ds02_2mm", "ds10_2mm"])
def test_fast_on_real_scans(name):
    folder = shared("oracle/fast")
    scan = nib.load(folder / f"{name}_T1w.nii.gz")
    image, sizes = np.asarray(scan.dataobj, dtype=np.float32), scan.header.get_zooms()
    found = segment(image, image > 0, sizes, partial_volumes=True)
    labels = read_labels(folder / f"{name}_prob08.nii.gz")
    voxel_ml = float(np.prod(sizes)) / 1000
    check_against_fast(found, labels, fast_volumes(folder, name, "prob_gt_0.8"), voxel_ml, 0.9995)
    check_partial_volumes(found, folder, name, voxel_ml)


def check_partial_volumes(found: Segmentation, folder: Path, name: str, voxel_ml: float):
    volumes = volumes_ml(found, voxel_ml)
    for rule, column in (("partial_volume", "pve_ge_0.8"), ("partial_volume_sum", "pve_sum")):
        assert volumes[rule] == pytest.approx(dict(fast_volumes(folder, name, column)), rel=0.05), rule


def test_partial_volumes_on_the_atlas():
    check_partial_volumes(segmented_atlas(), ATLAS, "mni152_2mm", 0.008)
    ours = labels_at(segmented_atlas(), "partial_volume")
    fast = read_labels(ATLAS / "mni152_2mm_pve08.nii.gz")
    assert all(dice(ours, fast, label) > 0.96 for label in (1, 2, 3))
    total = segmented_atlas().partial_volumes.sum(axis=0)
    assert np.allclose(total[segmented_atlas().labels > 0], 1, atol=1e-6)
    assert not total[segmented_atlas().labels == 0].any()


# ---------------------------------------------------------------------------------------------- #


def contents(found: Segmentation) -> bytes:
    arrays = (found.posteriors, found.labels, found.bias_field, found.partial_volumes, found.means, found.variances)
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


@pytest.fixture(scope="module")
def brain():
    labels, mask = made_up_brain(1)
    return 700 * scanned(labels, mask, (0.3, 0.8, 1.3), 1), mask


@pytest.fixture(scope="module")
def found(brain):
    return segment(*brain, SIZES, partial_volumes=True)


def test_what_comes_back(brain, found):
    _image, mask = brain
    assert found.posteriors.dtype == found.bias_field.dtype == found.partial_volumes.dtype == np.float32
    assert found.labels.dtype == np.uint8
    assert found.engine == "hmrf"
    assert np.all(np.diff(found.means) > 0)
    assert np.all(found.variances > 0)
    assert np.allclose(found.posteriors[:, mask].sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(found.labels[mask], found.posteriors[:, mask].argmax(axis=0) + 1)
    assert np.mean(np.log(found.bias_field[mask])) == pytest.approx(0, abs=1e-4)
    for outside in (found.posteriors[:, ~mask], found.labels[~mask], found.bias_field[~mask]):
        assert not outside.any()
    assert segment(*brain, SIZES).partial_volumes is None


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_same_bytes_for_any_number_of_threads(brain, found, threads):
    assert contents(segment(*brain, SIZES, threads=threads, partial_volumes=True)) == contents(found)


def test_same_bytes_on_the_atlas_for_two_threads():
    image = atlas(2)
    again = segment(image, image > 0, (2, 2, 2), threads=2, partial_volumes=True)
    assert contents(again) == contents(segmented_atlas())


def test_memory_order_and_type_are_no_matter(brain, found):
    image, mask = brain
    for other in (np.asfortranarray(image), image.astype(np.float64), image[::-1].copy()[::-1]):
        assert contents(segment(other, np.asfortranarray(mask), SIZES, partial_volumes=True)) == contents(found)


def test_grid_around_the_brain_is_no_matter(brain, found):
    """A mask that touches the border, and one that lies in a larger grid, give the same."""
    image, mask = brain
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in np.nonzero(mask))
    tight = segment(image[box], mask[box], SIZES)
    assert tight.posteriors.tobytes() == found.posteriors[(slice(None), *box)].tobytes()
    wide = segment(np.pad(image, (1, 4)), np.pad(mask, (1, 4)), SIZES)
    assert wide.posteriors[:, 1:-4, 1:-4, 1:-4].tobytes() == found.posteriors.tobytes()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_orientation_is_no_matter(brain, found, axis):
    image, mask = brain
    flipped = segment(np.flip(image, axis), np.flip(mask, axis), SIZES)
    assert np.mean(np.flip(flipped.labels, axis)[mask] == found.labels[mask]) > 0.999
    turned = segment(np.swapaxes(image, 0, axis), np.swapaxes(mask, 0, axis), SIZES)
    assert np.mean(np.swapaxes(turned.labels, 0, axis)[mask] == found.labels[mask]) > 0.999


def test_anisotropic_voxels():
    """Slices of 4 mm, cut from the 2 mm atlas: nearly its labels, and the sizes follow their axes."""
    image = atlas(2)[:, :, ::2]
    mask = image > 0
    found = segment(image, mask, (2, 2, 4), partial_volumes=True)
    fast = read_labels(ATLAS / "mni152_2mm_hard.nii.gz")[:, :, ::2]
    assert np.mean(found.labels[mask] == fast[mask]) > 0.97
    turned = segment(image.transpose(2, 0, 1), mask.transpose(2, 0, 1), (4, 2, 2))
    assert np.mean(turned.labels.transpose(1, 2, 0)[mask] == found.labels[mask]) > 0.999


def test_neighbors_are_weighted_in_mm():
    assert hmrf.neighbor_weights((2, 2, 2)) == pytest.approx([0.5] * 3 + [0.5**1.5] * 3)
    assert hmrf.neighbor_weights((1, 3, 4)) == pytest.approx([1, 1 / 3, 1 / 4, 10**-0.5, 17**-0.5, 1 / 5])


def test_low_pass():
    taps = hmrf.low_pass_taps(2.0)
    assert len(taps) == 2 * 5 + 1
    assert taps[0] + 2 * taps[1:].sum() == pytest.approx(1, abs=1e-6)
    assert taps[5] / taps[0] == pytest.approx(np.exp(-0.5 * (10 / 10.2) ** 2), rel=1e-5)
    assert hmrf.low_pass_taps(12.0).tolist() == [1.0]


def test_voxels_of_zero_get_no_class(brain):
    image, mask = brain
    holes = tuple(np.argwhere(mask)[::40].T)
    image = image.copy()
    image[holes] = 0
    found = segment(image, mask, SIZES, partial_volumes=True)
    assert not found.labels[holes].any()
    assert not found.posteriors[:, *holes].any()
    assert not found.bias_field[holes].any()
    assert not found.partial_volumes[:, *holes].any()
    rest = mask & (image > 0)
    assert np.isfinite(found.posteriors).all()
    assert found.labels[rest].all()


def test_finds_a_bias_field(brain):
    image, mask = brain
    ramp = np.linspace(-0.15, 0.15, image.shape[0])[:, None, None] + np.zeros(image.shape)
    field = segment((image * np.exp(ramp)).astype(np.float32), mask, SIZES).bias_field
    slope = np.polyfit(ramp[mask], np.log(field[mask]), 1)[0]
    assert slope > 0.4


def test_classes_of_one_gray_level_are_refused(brain):
    _, mask = brain
    image = np.where(mask, np.float32(1000), 0)
    image[tuple(np.argwhere(mask)[:30].T)] = np.arange(10, 40)
    with pytest.raises(InputError, match="scan.nii: .*classes collapsed"):
        segment(image, mask, SIZES, name="scan.nii")


def test_other_real_scans():
    """Scans without an oracle, as they come: odd grids, anisotropic voxels of 0.87 x 0.87 x 1 mm."""
    scan = nib.load(shared("data/ds002748/sub-62/anat/sub-62_T1w.nii.gz"))
    image = np.asarray(scan.dataobj, dtype=np.float32)[::2, ::3, 1::2]
    sizes = np.array(scan.header.get_zooms()) * (2, 3, 2)
    volumes = volumes_ml(segment(image, image > 0, sizes), float(np.prod(sizes)) / 1000)["hard"]
    assert volumes["GM"] > volumes["WM"] > volumes["CSF"] > 100
