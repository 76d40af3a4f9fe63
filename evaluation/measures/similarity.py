"""How alike two images are: structural similarity and correlation.

Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004) is computed from local moments made
here, not by `skimage.metrics.structural_similarity`, for one reason: a study needs every pair of a
subject's scans, on two scales, and all of that follows from two filterings a scan and one a pair
(an affine map of an image maps its local moments). For four scanners that is 14 filterings instead
of 60: at 1 mm, 3.6 instead of 13.7 CPU seconds a subject. The tests hold it to scikit-image.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from core.boxes import spans
from core.errors import InputError
from core.statistics import correlation
from evaluation.measures.interface import Measure, Person, Range, Summary

WINDOW_SIGMA = 1.5
WINDOW_TRUNCATE = 3.5
K1 = 0.01
K2 = 0.03

SSIM_DEFINITION = (
    "SSIM: three-dimensional, Gaussian window of sigma 1.5 voxels cut at radius 5, K1 0.01, K2 0.03; each method's "
    "images first go through one affine map a method, which takes the 0.5th and 99.5th percentile of the brain "
    "voxels of all its images to RAW's; the data range is from the one to the other; background set to the 0.5th "
    "percentile; the map is averaged over the voxels that are brain in both scans."
)
TABLE = "ssim"
COLUMNS = ("scanner_a", "scanner_b", "ssim", "ssim_own_scale", "pearson")
MEASURES = (
    Measure(
        name="ssim",
        label="SSIM",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition=SSIM_DEFINITION,
        reference="Wang et al. 2004",
        table=TABLE,
        column="ssim",
        tested=True,
        summary=Summary(asks="removed"),
    ),
    Measure(
        name="ssim_own_scale",
        label="SSIM, method's own scale",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition=(
            "SSIM of the images as the method leaves them, percentiles and background its own. SSIM compares local "
            "means with 0, so a method that puts 0 into the middle of the brain scores low by its choice of scale."
        ),
        reference="Wang et al. 2004",
        table=TABLE,
        column="ssim_own_scale",
    ),
    Measure(
        name="pearson",
        label="Pearson correlation",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition="Pearson correlation over the voxels that are brain in both scans; no scale enters it.",
        table=TABLE,
        column="pearson",
        tested=True,
    ),
)


@dataclass(frozen=True)
class LocalMoments:
    """An image in units of its data range above its low end, with its local mean and variance.

    `values` is a box (X, Y, Z); `mean` and `variance` hold the box's brain voxels only (B,).
    """

    values: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds every true voxel of `mask`; raises `InputError` if there is none."""
    box = spans(mask)
    if box is None:
        raise InputError("the mask is empty: similarity is averaged over its voxels")
    return tuple(slice(start, stop) for start, stop in box)


def smooth(values: np.ndarray) -> np.ndarray:
    """Means over the Gaussian window; beyond the box lies background, which is 0 in these units."""
    return ndimage.gaussian_filter(values, WINDOW_SIGMA, truncate=WINDOW_TRUNCATE, mode="constant", cval=0.0)


def above_low_end(image: np.ndarray, mask: np.ndarray, *, low: float, data_range: float) -> np.ndarray:
    """(image - low)/data_range in the mask and 0, the low end, outside; float32."""
    if not data_range > 0:
        raise InputError(f"a data range of {data_range:g}: give a positive one")
    scaled = np.subtract(image, np.float32(low), dtype=np.float32)
    scaled /= np.float32(data_range)
    scaled[~mask] = 0
    return scaled


def local_moments(values: np.ndarray, brain: np.ndarray) -> LocalMoments:
    """Local mean and (population) variance of a box `values` (X, Y, Z) at the voxels of `brain`."""
    mean = smooth(values)[brain]
    variance = smooth(values * values)[brain] - mean * mean
    return LocalMoments(values, mean, variance)


def local_covariance(a: LocalMoments, b: LocalMoments, brain: np.ndarray) -> np.ndarray:
    """Local (population) covariance of two boxes at the voxels of `brain` (B,)."""
    return smooth(a.values * b.values)[brain] - a.mean * b.mean


def ssim_values(a: LocalMoments, b: LocalMoments, covariance: np.ndarray, offset: float) -> np.ndarray:
    """Structural similarity at each voxel (B,); Wang et al. 2004, Eq. 13.

    `offset` is the low end in units of the data range: with it the local means are those of the
    images as they are; the moments about the mean don't need it.
    """
    c1, c2 = K1**2, K2**2
    mean_a, mean_b = a.mean + np.float32(offset), b.mean + np.float32(offset)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (a.variance + b.variance + c2)
    return luminance * structure


def ssim(image_a: np.ndarray, image_b: np.ndarray, mask: np.ndarray, *, data_range: float, low: float = 0.0) -> float:
    """Mean structural similarity of two images (X, Y, Z) over a mask (X, Y, Z).

    Three-dimensional, Gaussian window of sigma 1.5 voxels (cut at 3.5 sigma), K1 0.01, K2 0.03,
    population moments; outside the mask both images are set to `low`. Range -1..1, higher is more
    alike, 1 for identical images. It isn't invariant to an affine map of the intensities.

    Raises `InputError` for shapes that differ, an empty mask or a data range that isn't positive.
    """
    check_shapes(image_a, image_b, mask)
    box = bounding_box(mask)
    brain = mask[box]
    a, b = (
        local_moments(above_low_end(image[box], brain, low=low, data_range=data_range), brain)
        for image in (image_a, image_b)
    )
    values = ssim_values(a, b, local_covariance(a, b, brain), low / data_range)
    return float(values.mean(dtype=np.float64))


def pearson(image_a: np.ndarray, image_b: np.ndarray, mask: np.ndarray) -> float:
    """Pearson correlation of two images (X, Y, Z) over a mask; NaN where one is constant.

    Range -1..1, higher is more alike. Unchanged by an affine map (of positive slope) of either.
    """
    check_shapes(image_a, image_b, mask)
    return correlation(image_a[mask], image_b[mask])


@dataclass(frozen=True)
class Similarity:
    """How alike two images are: SSIM on the reference's scale and on their own, and correlation."""

    ssim: float
    ssim_own_scale: float
    pearson: float


def pairwise(
    images: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], *, own: Range, reference: Range
) -> dict[tuple[str, str], Similarity]:
    """Similarity of every pair of a subject's images (X, Y, Z), named by scanner.

    `own` is the arm's range, `reference` the one that its one affine map takes it to (RAW's). Each image's
    background is set outside its own mask; a pair is averaged over the voxels in both masks. Pairs come
    in the order of `images`.

    Raises `InputError` for shapes that differ, or two masks without a common voxel.
    """
    names = list(images)
    for name in names:
        check_shapes(images[name], images[names[0]], masks[name])
    union = np.logical_or.reduce([masks[name] for name in names])
    box = bounding_box(union)
    brain = union[box]
    data_range = own.high - own.low
    offset = own.low / data_range if data_range > 0 else 0.0
    reference_offset = reference.low / (reference.high - reference.low)
    moments = {
        name: local_moments(
            above_low_end(images[name][box], masks[name][box], low=own.low, data_range=data_range), brain
        )
        for name in names
    }
    inside = {name: masks[name][box][brain] for name in names}
    found = {}
    for first, second in itertools.combinations(names, 2):
        both = inside[first] & inside[second]
        if not both.any():
            raise InputError(f"the masks of {first} and {second} have no voxel in common")
        a, b = moments[first], moments[second]
        covariance = local_covariance(a, b, brain)
        common_scale, own_scale = (
            float(ssim_values(a, b, covariance, shift)[both].mean(dtype=np.float64))
            for shift in (reference_offset, offset)
        )
        found[first, second] = Similarity(
            ssim=common_scale,
            ssim_own_scale=own_scale,
            pearson=correlation(a.values[brain][both], b.values[brain][both]),
        )
    return found


def of_person(person: Person) -> list[dict]:
    """A row a pair of scanners."""
    found = pairwise(person.own_images, person.masks, own=person.own_range, reference=person.reference_range)
    return [{"scanner_a": a, "scanner_b": b, **vars(similarity)} for (a, b), similarity in found.items()]


def check_shapes(image_a: np.ndarray, image_b: np.ndarray, mask: np.ndarray) -> None:
    """Refuse images and a mask that don't lie on one grid."""
    if not image_a.shape == image_b.shape == mask.shape:
        raise InputError(
            f"shapes {image_a.shape}, {image_b.shape} and mask {mask.shape} differ; "
            "bring the images and the mask onto one grid"
        )
