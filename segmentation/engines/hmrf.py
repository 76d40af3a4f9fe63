"""FAST's segmentation without FSL: a hidden Markov random field with a bias field, compiled.

Zhang, Brady and Smith, "Segmentation of brain MR images through a hidden Markov random field model
and the expectation-maximization algorithm", IEEE Transactions on Medical Imaging 20(1):45-57, 2001.
The paper leaves start, schedule and filter open; they are set to give what FSL 6.0's
`fast -t 1 -n 3` gives. Like FAST, it depends on the scale of the intensities, which it models as
log(1 + intensity).
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from core.errors import InputError
from core.kernels import announced
from segmentation import markov_field
from segmentation.interface import Segmentation
from segmentation.partial_volumes import OUTSIDE, affinities, neighbors, sweep_types, type_table
from segmentation.partial_volumes import SWEEPS as TYPE_SWEEPS

CLASSES = 3
START_PERCENTILES = (25, 50, 75)
START_ROUNDS = 19
BIAS_SIGMA_MM = 0.51 * 20
SWEEPS = 5
BETAS_WITH_BIAS = (0.02, 0.02, 0.02, 0.02)
BETAS_AFTER_BIAS = (0.02, 0.1, 0.1, 0.1)

# A class of one gray level has no Gaussian. No scanner's noise is below 0.001 % of the signal.
SMALLEST_VARIANCE = 1e-10


def segment(
    image: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: tuple[float, float, float],
    threads: int,
    partial_volumes: bool,
) -> Segmentation:
    """Segment the mask's voxels; see `segmentation.interface.segment`.

    Raises
    ------
    InputError
        A class lost its voxels or its variance on the way.
    """
    with ThreadPoolExecutor(threads) as pool, announced("the segmentation engine hmrf"):
        model = _Model(image, mask, voxel_sizes, pool, threads)
        del mask
        model.start()
        model.estimate_field()
        for beta in BETAS_WITH_BIAS:
            model.sweep(beta)
            model.estimate_field()
            model.estimate_gaussians()
        for beta in BETAS_AFTER_BIAS:
            model.sweep(beta)
            model.estimate_gaussians()
        return model.result(image.shape, partial_volumes)


def neighbor_weights(voxel_sizes: tuple[float, float, float]) -> np.ndarray:
    """float32 (6,): 1 / distance in mm to the neighbors along i, j, k, and in ij, ik, jk."""
    i, j, k = voxel_sizes
    distances = [i, j, k, np.hypot(i, j), np.hypot(i, k), np.hypot(j, k)]
    return (1 / np.array(distances)).astype(np.float32)


def low_pass_taps(voxel_size: float) -> np.ndarray:
    """Half of the bias field's Gaussian along one axis, center first: float32 (radius + 1,)."""
    sigma = BIAS_SIGMA_MM / voxel_size
    offsets = np.arange(2 * int(sigma) + 1)
    half = np.exp(-0.5 * (offsets / sigma) ** 2)
    return (half / (half[0] + 2 * half[1:].sum())).astype(np.float32)


class _Model:
    """The state of one segmentation on the brain's box; arrays as `markov_field` describes them."""

    def __init__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        voxel_sizes: tuple[float, float, float],
        pool: ThreadPoolExecutor,
        threads: int,
    ) -> None:
        self.pool = pool if threads > 1 else None
        self.box = _box(mask)
        self.inside = np.ascontiguousarray(mask[self.box]).view(np.uint8)
        shape = self.inside.shape
        self.first, self.last = _spans(self.inside)
        # One part a thread: handing out smaller ones costs more than uneven ends.
        self.parts = _cut((self.last - self.first).sum(axis=1), threads)
        self.even_parts = [_cut(np.ones(size), threads) for size in shape[:2]]
        self.log_image = np.zeros(shape, dtype=np.float32)
        self._run(_logarithm, image[self.box], self.inside.view(np.bool_), self.log_image)
        self.voxel_sizes = voxel_sizes
        self.weights = neighbor_weights(voxel_sizes)
        self.taps = [low_pass_taps(size) for size in voxel_sizes]
        padded = tuple(size + 2 for size in shape)
        self.posteriors = tuple(np.zeros(padded, dtype=np.float32) for _ in range(CLASSES))
        self.field = np.zeros(shape, dtype=np.float32)
        # Kept for all estimates: an array this large that comes and goes stays in the process.
        self.denominator = np.zeros(shape, dtype=np.float32)
        self.means = np.zeros(CLASSES)
        self.variances = np.zeros(CLASSES)

    def start(self) -> None:
        """Classes from the intensities alone, and their posteriors."""
        values = self.log_image[self.inside.view(np.bool_)]
        values.sort()  # numpy sorts twice as fast as it finds three percentiles
        centers = np.percentile(values, START_PERCENTILES, overwrite_input=True)
        del values
        sums = np.zeros((len(self.inside), CLASSES, 3))
        self._run(
            markov_field.nearest_sums, self.log_image, self.inside, self.first, self.last,
            centers, sums,
        )  # fmt: skip
        self._set_gaussians(_sum_in_order(sums))
        for _ in range(START_ROUNDS - 1):
            self._run(
                markov_field.mixture_sums, self.log_image, self.inside, self.first, self.last,
                self.gaussians, sums,
            )  # fmt: skip
            self._set_gaussians(_sum_in_order(sums))
        self._sweep_planes(0, 1, 0.0)

    def sweep(self, beta: float) -> None:
        """Even planes before odd ones: none reads another that is being written."""
        for _ in range(SWEEPS):
            self._sweep_planes(0, 2, beta)
            self._sweep_planes(1, 2, beta)

    def estimate_field(self) -> None:
        """The field anew, from the log image without any field and the latest classes."""
        self._run(
            markov_field.residual, self.posteriors, self.log_image, self.first, self.last,
            self.gaussians, self.taps[2], self.field, self.denominator,
        )  # fmt: skip
        for image in (self.field, self.denominator):
            self._run(markov_field.smooth_columns, image, self.taps[1], parts=self.even_parts[0])
            self._run(markov_field.smooth_planes, image, self.taps[0], parts=self.even_parts[1])
        sums = np.zeros(len(self.inside))
        self._run(markov_field.divide, self.field, self.denominator, self.inside, self.first, self.last, sums)
        self.field -= np.float32(_sum_in_order(sums) / np.count_nonzero(self.inside))

    def estimate_gaussians(self) -> None:
        self._set_gaussians(self._posterior_sums())

    def result(self, shape: tuple[int, ...], partial_volumes: bool) -> Segmentation:
        """The classes by rising mean, on the whole grid; leaves the model empty.

        Each array goes as soon as its copy on the grid is there: memory peaks here.
        """
        del self.denominator
        order = np.argsort(self.means)
        self.posteriors = tuple(self.posteriors[k] for k in order)
        box_labels = np.zeros_like(self.inside)
        self._run(markov_field.most_probable, self.posteriors, self.inside, self.first, self.last, box_labels)
        bias_field = _sparse_zeros(shape)
        self._run(_exponential, self.field, self.inside.view(np.bool_), bias_field[self.box])
        fractions = self._partial_volumes(shape) if partial_volumes else None
        del self.log_image, self.field
        boxes = [posterior[1:-1, 1:-1, 1:-1] for posterior in self.posteriors]
        del self.posteriors
        posteriors = _sparse_zeros((CLASSES, *shape))
        for label in range(CLASSES):
            self._run(_copy, boxes.pop(0), posteriors[label][self.box])
        labels = np.zeros(shape, dtype=np.uint8)
        labels[self.box] = box_labels
        return Segmentation(
            posteriors=posteriors,
            labels=labels,
            bias_field=bias_field,
            means=self.means[order],
            variances=self.variances[order],
            partial_volumes=fractions,
            engine="hmrf",
        )

    def _partial_volumes(self, shape: tuple[int, ...]) -> np.ndarray:
        """See `segmentation.partial_volumes`; uses up the log image and the field."""
        intensities = np.expm1(np.subtract(self.log_image, self.field, out=self.log_image))
        self.log_image = intensities
        self.field[:] = 0
        sums = self._posterior_sums()
        means = sums[:, 1] / sums[:, 0]
        table = type_table(means, sums[:, 2] / sums[:, 0] - means**2)
        steps = table.steps(intensities)
        types = np.full([size + 2 for size in steps.shape], OUTSIDE, dtype=np.uint8)
        inner = types[1:-1, 1:-1, 1:-1]
        likeliest = table.log_likelihoods[:, :OUTSIDE].argmax(axis=1).astype(np.uint8)
        np.copyto(inner, likeliest[steps], where=self.inside.view(np.bool_))
        where, weights = neighbors(self.voxel_sizes, types.shape)
        for _ in range(TYPE_SWEEPS):
            for offset in (0, 1):
                self._run(
                    sweep_types, types, steps, table.log_likelihoods, affinities(), where, weights,
                    offset=offset, step=2,
                )  # fmt: skip
        fractions = _sparse_zeros((CLASSES, *shape))
        for label in range(CLASSES):
            fractions[label][self.box] = table.fractions[label][inner, steps]
        return fractions

    def _posterior_sums(self) -> np.ndarray:
        sums = np.zeros((len(self.inside), CLASSES, 3))
        self._run(
            markov_field.posterior_sums, self.posteriors, self.log_image, self.field, self.first,
            self.last, sums,
        )  # fmt: skip
        return _sum_in_order(sums)

    def _sweep_planes(self, offset: int, step: int, beta: float) -> None:
        self._run(
            markov_field.sweep, self.posteriors, self.log_image, self.field, self.inside,
            self.first, self.last, self.gaussians, self.weights, np.float32(beta),
            offset=offset, step=step,
        )  # fmt: skip

    def _set_gaussians(self, sums: np.ndarray) -> None:
        """Means and variances from sums (3, 3) of p, p y and p y**2 by class."""
        counts = sums[:, 0]
        self.means = sums[:, 1] / np.maximum(counts, 1)
        self.variances = sums[:, 2] / np.maximum(counts, 1) - self.means**2
        if not ((counts >= 1) & (self.variances > SMALLEST_VARIANCE)).all():
            raise InputError(
                "engine hmrf's classes collapsed (voxels of CSF, GM, WM: "
                f"{', '.join(f'{count:.0f}' for count in counts)}; their variances of the log "
                f"intensity: {', '.join(f'{variance:.2g}' for variance in self.variances)}); "
                "check that the image is T1-weighted, has tissue contrast and many gray levels"
            )
        self.gaussians = np.stack([self.means, -0.5 / self.variances, -0.5 * np.log(self.variances)], axis=1).astype(
            np.float32
        )

    def _run(
        self,
        kernel: Callable[..., Any],
        *arguments: Any,
        parts: Sequence[int] | None = None,
        offset: int = 0,
        step: int = 1,
    ) -> None:
        """Run a kernel over all planes, or what `parts` cuts into parts, on the threads of the pool."""
        parts = self.parts if parts is None else parts
        if self.pool is None:
            kernel(offset, parts[-1], step, *arguments)
            return
        jobs = [
            self.pool.submit(kernel, start + (offset - start) % step, stop, step, *arguments)
            for start, stop in pairwise(parts)
        ]
        for job in jobs:
            job.result()


def _logarithm(start: int, stop: int, step: int, image: np.ndarray, inside: np.ndarray, out: np.ndarray) -> None:
    """Log intensities of the planes, in the mask; like the next two, run as the kernels are."""
    planes = slice(start, stop, step)
    np.log1p(image[planes], out=out[planes], where=inside[planes])


def _exponential(start: int, stop: int, step: int, field: np.ndarray, inside: np.ndarray, out: np.ndarray) -> None:
    planes = slice(start, stop, step)
    np.exp(field[planes], out=out[planes], where=inside[planes])


def _copy(start: int, stop: int, step: int, source: np.ndarray, out: np.ndarray) -> None:
    planes = slice(start, stop, step)
    out[planes] = source[planes]


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds the mask."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        touched = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(touched[0]), int(touched[-1]) + 1))
    return tuple(box)


def _sparse_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """float32 zeros whose pages take memory only once they are written to.

    `numpy.zeros` asks for pages of 2 MB, so a brain's box makes it take the whole grid: 40 MB more
    for the maps of a 1 mm image.
    """
    size = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, dtype=np.float32).reshape(shape)


def _spans(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first mask voxel of each row and the one after the last, int32; 0 and 0 without any."""
    touched = inside.any(axis=2)
    first = np.where(touched, inside.argmax(axis=2), 0)
    last = np.where(touched, inside.shape[2] - inside[:, :, ::-1].argmax(axis=2), 0)
    return first.astype(np.int32), last.astype(np.int32)


def _cut(work: np.ndarray, parts: int) -> list[int]:
    """Where to cut planes with so much work each into contiguous parts of about as much work."""
    done = np.concatenate([[0], np.cumsum(work)])
    inner = np.searchsorted(done, done[-1] * np.arange(1, parts) / parts)
    return [0, *inner.tolist(), len(work)]


def _sum_in_order(sums: np.ndarray) -> np.ndarray:
    """Add sums by plane one after the other, so that the result never depends on the threads."""
    return np.add.reduce(sums, axis=0)
