"""Trap 8: an arm that is an affine copy of RAW reaches the segmenter as RAW and is segmented alike."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

from core.images import scale_to_mean
from evaluation.arms.intensities import map_to_reference, measure_intensities
from evaluation.measures.overlap import dice_by_tissue
from segmentation import labels_at, segment

VOXEL_SIZES = (2.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def raw() -> tuple[np.ndarray, np.ndarray]:
    mask = load_mni152_brain_mask(2).get_fdata() > 0
    image = load_mni152_template(2).get_fdata().astype(np.float32) * mask
    return scale_to_mean(image, mask, "brain"), mask


def segmented(image: np.ndarray, mask: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Labels of an arm's image through the pipeline's one map."""
    arm = measure_intensities("arm", lambda: [image[mask]], 1)
    reference = measure_intensities("raw", lambda: [raw[mask]], 1)
    mapped = map_to_reference(image, mask, arm, reference)
    return labels_at(segment(mapped, mask, VOXEL_SIZES))


@pytest.mark.parametrize(("slope", "intercept"), [(0.003, 0.0), (700.0, 40.0), (5.0, -30.0)])
def test_an_affine_copy_of_raw_is_segmented_as_raw(raw, slope, intercept):
    """The last one is negative everywhere, as most of White Stripe's output is."""
    image, mask = raw
    copy = np.where(mask, slope * image + intercept, 0).astype(np.float32)
    assert intercept >= 0 or copy[mask].max() < 0
    overlap = dice_by_tissue(segmented(image, mask, image), segmented(copy, mask, image))
    assert min(overlap.values()) > 0.999


def test_raw_is_only_multiplied_by_a_thousand(raw):
    image, mask = raw
    reference = measure_intensities("raw", lambda: [image[mask]], 1)
    mapped = map_to_reference(image, mask, reference, reference)
    inside = mask & (image > 1e-3)
    np.testing.assert_allclose(mapped[inside], 1000 * image[inside], rtol=1e-5)
