"""How alike two images are: structural similarity by several definitions, and correlation.

Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004) is computed from local moments made
here, not by `skimage.metrics.structural_similarity`, for one reason: a study needs every pair of a
subject's scans, on two scales, and all of that follows from two filterings a scan and one a pair
(an affine map of an image maps its local moments). For four scanners that is 14 filterings instead
of 60: at 1 mm, 3.6 instead of 13.7 CPU seconds a subject. The tests hold it to scikit-image.

The paper's settings aren't published, and what SSIM says depends on them. One definition is tested and
in Table 2; the others stand beside it and differ from it, or from each other, in one thing each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.boxes import spans
from core.errors import InputError
from core.names import RAW
from core.statistics import correlation
from evaluation.measures.interface import Measure, Person, Range, Summary

FLAT_WINDOW = 7
K1 = 0.01
K2 = 0.03
EVERY = 20
"""The best affine map is sought over one brain voxel of so many; what it reaches is taken over all of them."""

SSIM_DEFINITION = (
    "SSIM: three-dimensional, Gaussian window of sigma 1.5 voxels cut at radius 5, K1 0.01, K2 0.03; each method's "
    "images first go through one affine map a method, which takes the 0.5th and 99.5th percentile of the brain "
    "voxels of all its images to RAW's; the data range is from the one to the other; background set to the 0.5th "
    "percentile; the map is averaged over the voxels that are brain in both scans."
)
TABLE = "ssim"
COLUMNS = (
    "scanner_a",
    "scanner_b",
    "ssim",
    "ssim_own_scale",
    "ssim_2d",
    "ssim_grid",
    "ssim_affine_ceiling",
    "pearson",
)
PAIRS = True
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
        name="ssim_2d",
        label="SSIM, two-dimensional",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition=(
            "As Table 2's SSIM, with another window: 7 x 7 voxels of equal weight in axial slices and sample "
            "covariances, scikit-image's default."
        ),
        reference="Wang et al. 2004; van der Walt et al. 2014",
        table=TABLE,
        column="ssim_2d",
    ),
    Measure(
        name="ssim_grid",
        label="SSIM, two-dimensional, whole grid",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition=(
            "As the two-dimensional SSIM, averaged over all voxels of the study's grid: background, alike in any two "
            "scans, counts as 1, so it depends on how much of the grid is brain."
        ),
        reference="Wang et al. 2004",
        table=TABLE,
        column="ssim_grid",
    ),
    Measure(
        name="ssim_affine_ceiling",
        label="SSIM, affine ceiling",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition=(
            "Table 2's SSIM after the affine map of one of a pair's two RAW scans (slope and intercept in its mask) "
            "that makes it highest, found by Nelder and Mead's search for each pair of a person's scans; the better of "
            "the two ways round. No choice of one affine map a scan does better, but for one that raises both scans' "
            "contrast against the data range."
        ),
        reference="Nelder and Mead 1965, for the search",
        table=TABLE,
        column="ssim_affine_ceiling",
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
    # imported here: Numba takes long, and tables and reports need only to know what is measured
    from core import gaussian_window

    return gaussian_window.smooth(values)


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
class FlatWindows:
    """The 7 x 7 windows, in axial slices, that reach the brain in a box of a grid.

    `margins` widen the box (X, Y, Z) by what of these windows' centers lies outside it but on the grid;
    `near` (N,) are the centers in the widened box, flattened; `brain` (N,) tells those in the brain.
    `elsewhere` counts the grid's other voxels, whose windows hold background alone.
    """

    margins: list[tuple[int, int]]
    near: np.ndarray
    brain: np.ndarray
    elsewhere: int

    @classmethod
    def around(cls, brain: np.ndarray, start: Sequence[int], grid_shape: Sequence[int]) -> FlatWindows:
        """Those around `brain` (X, Y, Z), bool, the box whose first voxel is `start` of the grid."""
        reach = [FLAT_WINDOW // 2, FLAT_WINDOW // 2, 0]
        margins = [
            (min(far, first), min(far, whole - first - size))
            for far, first, size, whole in zip(reach, start, brain.shape, grid_shape, strict=True)
        ]
        wide = np.pad(brain, margins)
        counts = flat_smooth(wide.astype(np.float32)) * FLAT_WINDOW**2
        near = np.flatnonzero(counts > 0.5)
        return cls(margins, near, wide.ravel()[near], math.prod(grid_shape) - near.size)

    def moments(self, values: np.ndarray) -> LocalMoments:
        """Local mean and sample variance of a box (X, Y, Z) in each window (N,); its values are the widened box's."""
        wide = np.pad(values, self.margins)
        mean = self._means(wide)
        return LocalMoments(wide, mean, _sample(self._means(wide * wide) - mean * mean))

    def similarity(self, a: LocalMoments, b: LocalMoments, offset: float) -> np.ndarray:
        """Structural similarity in each window (N,)."""
        return ssim_values(a, b, _sample(self._means(a.values * b.values) - a.mean * b.mean), offset)

    def _means(self, wide: np.ndarray) -> np.ndarray:
        return flat_smooth(wide).ravel()[self.near]


def flat_smooth(values: np.ndarray) -> np.ndarray:
    """Means (X, Y, Z) over 7 x 7 voxels in axial slices; beyond the box lies background, which is 0."""
    from scipy import ndimage

    return ndimage.uniform_filter(values, (FLAT_WINDOW, FLAT_WINDOW, 1), mode="constant", cval=0.0)


def _sample(moment: np.ndarray) -> np.ndarray:
    return moment * np.float32(FLAT_WINDOW**2 / (FLAT_WINDOW**2 - 1))


@dataclass(frozen=True)
class MappedPair:
    """All that SSIM of a pair needs under an affine map of its first image, at voxels (B,) of the brain.

    In units of the data range above the low end, where background is 0 and stays it: `mapped` and `fixed` are
    the images' moments, `covariance` is theirs, `weight` the first's mask smoothed, `fixed_inside` the second
    image in the first's mask smoothed.
    """

    mapped: LocalMoments
    fixed: LocalMoments
    covariance: np.ndarray
    weight: np.ndarray
    fixed_inside: np.ndarray

    def at(self, chosen: np.ndarray) -> MappedPair:
        """The same at some of the voxels, by number."""
        mapped, fixed = (LocalMoments(m.values, m.mean[chosen], m.variance[chosen]) for m in (self.mapped, self.fixed))
        return MappedPair(mapped, fixed, self.covariance[chosen], self.weight[chosen], self.fixed_inside[chosen])

    def ssim(self, slope: float, intercept: float, offset: float) -> float:
        """Mean SSIM where the first image's brain voxels v are slope v + intercept.

        The window's means of v, v^2 and v w (w the second image, 0 outside) give those of the map.
        """
        first, second = self.mapped, self.fixed
        mean = slope * first.mean + intercept * self.weight
        square = (
            slope**2 * (first.variance + first.mean**2)
            + 2 * slope * intercept * first.mean
            + intercept**2 * self.weight
        )
        product = slope * (self.covariance + first.mean * second.mean) + intercept * self.fixed_inside
        moved = LocalMoments(first.values, mean, square - mean**2)
        return float(ssim_values(moved, second, product - mean * second.mean, offset).mean(dtype=np.float64))

    def ceiling(self, start: tuple[float, float], offset: float) -> float:
        """The highest mean SSIM that an affine map reaches, sought from `start` (slope, intercept)."""
        # imported here: it takes long, and nothing else needs it
        from scipy.optimize import fmin

        some = self.at(np.arange(0, len(self.weight), EVERY))

        def missed(affine: np.ndarray) -> float:
            return -some.ssim(affine[0], affine[1], offset)

        slope, intercept = fmin(missed, start, xtol=5e-3, ftol=1e-4, maxiter=100, disp=False)
        return max(self.ssim(1.0, 0.0, offset), self.ssim(slope, intercept, offset))


def affine_ceiling(
    a: LocalMoments,
    b: LocalMoments,
    covariance: np.ndarray,
    masks: Sequence[np.ndarray],
    brain: np.ndarray,
    offset: float,
) -> float:
    """The highest SSIM of two images after an affine map of either, over the voxels in both masks (X, Y, Z).

    `a` and `b` are the images' moments and `covariance` theirs, at the voxels of `brain` (X, Y, Z), which holds
    both masks.
    """
    both = np.flatnonzero((masks[0] & masks[1])[brain])
    weights = [smooth(mask.astype(np.float32))[brain] for mask in masks]
    # an image is 0 outside its own mask, so within one mask all of it is in the other's
    whole = np.array_equal(masks[0], masks[1])
    highest = -1.0
    for mapped, fixed, mask, weight in ((a, b, masks[0], weights[0]), (b, a, masks[1], weights[1])):
        inside = fixed.mean if whole else smooth(fixed.values * mask)[brain]
        pair = MappedPair(mapped, fixed, covariance, weight, inside).at(both)
        x, y = (image.values[brain][both].astype(np.float64) for image in (mapped, fixed))
        slope = y.std() / x.std() if x.std() > 0 else 1.0
        highest = max(highest, pair.ceiling((slope, y.mean() - slope * x.mean()), offset))
    return highest


@dataclass(frozen=True)
class Similarity:
    """How alike two images are: SSIM by its definitions (`MEASURES`), and correlation.

    `ssim_affine_ceiling` is NaN where it wasn't asked for.
    """

    ssim: float
    ssim_own_scale: float
    ssim_2d: float
    ssim_grid: float
    ssim_affine_ceiling: float
    pearson: float


def pairwise(
    images: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    *,
    own: Range,
    reference: Range,
    origin: Sequence[int] = (0, 0, 0),
    grid_shape: Sequence[int] | None = None,
    ceiling: bool = False,
) -> dict[tuple[str, str], Similarity]:
    """Similarity of every pair of a subject's images (X, Y, Z), named by scanner, in the order of `images`.

    `own` is the arm's range, `reference` the one that its one affine map takes it to (RAW's). Each image's
    background is set outside its own mask; a pair is averaged over the voxels in both masks. The images are
    a box of a grid of `grid_shape`, of whose voxels `origin` is their first; without it they are the grid.
    `ceiling`: whether the affine ceiling is asked for, which takes longer than all the rest.

    Raises `InputError` for shapes that differ, or two masks without a common voxel.
    """
    names = list(images)
    for name in names:
        check_shapes(images[name], images[names[0]], masks[name])
    union = np.logical_or.reduce([masks[name] for name in names])
    box = bounding_box(union)
    brain = union[box]
    data_range = own.high - own.low
    own_offset = own.low / data_range if data_range > 0 else 0.0
    offset = reference.low / (reference.high - reference.low)
    boxed = {name: masks[name][box] for name in names}
    values = {name: above_low_end(images[name][box], boxed[name], low=own.low, data_range=data_range) for name in names}
    moments = {name: local_moments(values[name], brain) for name in names}
    inside = {name: boxed[name][brain] for name in names}
    start = [first + edge.start for first, edge in zip(origin, box, strict=True)]
    flat = FlatWindows.around(brain, start, union.shape if grid_shape is None else grid_shape)
    flat_moments = {name: flat.moments(values[name]) for name in names}
    found = {}
    for first, second in itertools.combinations(names, 2):
        both = inside[first] & inside[second]
        if not both.any():
            raise InputError(f"the masks of {first} and {second} have no voxel in common")
        a, b = moments[first], moments[second]
        covariance = local_covariance(a, b, brain)
        common_scale, own_scale = (
            float(ssim_values(a, b, covariance, shift)[both].mean(dtype=np.float64)) for shift in (offset, own_offset)
        )
        in_slices = flat.similarity(flat_moments[first], flat_moments[second], offset)
        grid_sum = in_slices.sum(dtype=np.float64) + flat.elsewhere
        highest = (
            affine_ceiling(a, b, covariance, (boxed[first], boxed[second]), brain, offset) if ceiling else math.nan
        )
        found[first, second] = Similarity(
            ssim=common_scale,
            ssim_own_scale=own_scale,
            ssim_2d=float(in_slices[flat.brain][both].mean(dtype=np.float64)),
            ssim_grid=float(grid_sum / (in_slices.size + flat.elsewhere)),
            ssim_affine_ceiling=highest,
            pearson=correlation(a.values[brain][both], b.values[brain][both]),
        )
    return found


def of_person(person: Person) -> list[dict]:
    """A row a pair of scanners; the affine ceiling is RAW's alone."""
    found = pairwise(
        person.own_images,
        person.masks,
        own=person.own_range,
        reference=person.reference_range,
        origin=person.origin,
        grid_shape=person.grid_shape,
        ceiling=person.arm == RAW,
    )
    return [{"scanner_a": a, "scanner_b": b, **vars(similarity)} for (a, b), similarity in found.items()]


def check_shapes(image_a: np.ndarray, image_b: np.ndarray, mask: np.ndarray) -> None:
    """Refuse images and a mask that don't lie on one grid."""
    if not image_a.shape == image_b.shape == mask.shape:
        raise InputError(
            f"shapes {image_a.shape}, {image_b.shape} and mask {mask.shape} differ; "
            "bring the images and the mask onto one grid"
        )
