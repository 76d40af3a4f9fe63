"""Step 2 solved instead of trained: the optimum of Eq. 6, with a proof of how close it is.

With linear decoders Eq. 6 is a weighted sum of absolute values of functions that are linear in the M x L
coefficients g: for every voxel a row x_i - g_i z_i for each scanner and a row g_i z_i - g_k z_k for each
pair. Each absolute value is rounded off below a width (as Huber does) that shrinks step by step, and
Newton's method finds the optimum: first over voxels drawn at random, then over all of them.

The proof is a point of the dual problem: any slopes y, one a row and none larger than the row's weight,
whose gradients cancel, give sum y x over the reconstruction rows as a lower bound of Eq. 6 for every g.
The slopes of the rounded rows nearly cancel once Newton has converged, and their slack takes up the rest.

Our own, since general solvers for linear programmes would need all rows (tens of millions) in memory.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import Caution
from mispel.compute import ForEach
from mispel.embedding_cache import EmbeddingCache
from mispel.slices import SliceStore
from mispel.step2_sums import row_sums

DRAWN_VOXELS = 30_000
DRAWN_SLICES = 120
LARGEST_GAP = 1e-4
"""Gap between loss and lower bound, as a share of the loss, at which the optimum is reached."""
MOST_PASSES = 30
MOST_WIDTHS = 12
MOST_HALVINGS = 6
NEWTON_STEPS = 10
CHUNK_VOXELS = 200_000
FIRST_WIDTH = 3.0
"""Of rounding, as a share of the rows' mean absolute value."""
NARROWER = 0.2
SMALLEST_FALL = 1e-6
"""With ReLU: a step that lowers the loss by less than this share of it is the last."""


@dataclass(frozen=True)
class Voxels:
    """Part of the problem, B slices of P voxels.

    embeddings: of each scanner (B, L, P), float32. images: of each scanner (B, P). weights: of the
    M + M(M-1)/2 rows (B, rows). region: (B, P), or (0, 0) where all voxels count.
    """

    embeddings: tuple[np.ndarray, ...]
    images: tuple[np.ndarray, ...]
    weights: np.ndarray
    region: np.ndarray


@dataclass(frozen=True)
class Sums:
    """Sums over voxels at some coefficients and width of rounding: see `row_sums`."""

    losses: np.ndarray
    bound: float
    gradient: np.ndarray
    newton: np.ndarray
    slack: np.ndarray
    slack_images: np.ndarray
    largest: np.ndarray

    @property
    def loss(self) -> float:
        """Eq. 6."""
        return float(self.losses.sum())

    def rounding(self, coefficients: np.ndarray) -> float:
        """By how much the loss exceeds slopes x rows: the gap that rounding leaves at its optimum."""
        return self.loss - self.bound - float((self.gradient * coefficients).sum())

    def newton_step(self, width: float) -> np.ndarray:
        """The step (M, L) that, subtracted, leads to the rounded loss's minimum."""
        return _solve(self.newton / width, self.gradient)

    def lower_bound(self, coefficients: np.ndarray, width: float) -> float:
        """A lower bound of Eq. 6 for linear decoders.

        The rounded rows give way, each within its slack, until the gradient cancels; whatever would still
        exceed a row's weight, or not cancel, lowers the bound.
        """
        shift = _solve(self.slack / width, self.gradient)
        change = np.sort((np.abs(shift) * self.largest).sum(axis=1))[-2:].sum() / width
        bound = self.bound - float((self.slack_images * shift).sum()) / width
        uncancelled = np.abs(self.gradient.ravel() - self.slack @ shift.ravel() / width).sum()
        return bound / max(1.0, change) - float(uncancelled * np.abs(coefficients).max())


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The smallest solution of a symmetric system, also where maps are dead or alike; shaped as `right`."""
    inverse = np.linalg.pinv(matrix, rcond=1e-13, hermitian=True)
    solution = inverse @ right.ravel()
    # once more for the remainder: the bound is lowered by what does not cancel
    solution += inverse @ (right.ravel() - matrix @ solution)
    return solution.reshape(right.shape)


def _added(parts: list[tuple]) -> Sums:
    """The sums over several parts, added in their order."""
    *added, largest = zip(*parts, strict=True)
    sums = [sum(part[1:], start=part[0]) for part in added]
    return Sums(*[*sums, np.max(largest, axis=0)])


@dataclass(frozen=True)
class Problem:
    """Eq. 6 over all slices of a store, for decoders that are linear or cut at 0 (`relu`)."""

    store: SliceStore
    cache: EmbeddingCache
    lambda3: float
    lambda4: float
    for_each: ForEach
    relu: bool = False
    brain_only: bool = False

    def voxels(self, begin: int, end: int) -> Voxels:
        """The voxels of a run of slices."""
        images = tuple(np.asarray(array[begin:end]).reshape(end - begin, -1) for array in self.store.images)
        embeddings = tuple(self.cache.of_scanner(number, begin, end) for number in range(len(images)))
        present = self.store.present[begin:end].astype(np.float64)
        first, second = np.triu_indices(present.shape[1], k=1)
        pairs = present[:, first] * present[:, second]
        weights = np.concatenate(
            [
                self.lambda3 * present.shape[1] * present / present.sum(axis=1, keepdims=True),
                self.lambda4 * pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1),
            ],
            axis=1,
        )
        region = np.empty((0, 0), np.float32)
        counted = np.full(len(weights), images[0].shape[1])
        if self.brain_only:
            depths = [array[begin:end].reshape(end - begin, -1) for array in self.store.depths]
            region = np.any(depths, axis=0).astype(np.float32)
            counted = np.maximum(region.sum(axis=1), 1)
        return Voxels(embeddings, images, weights / (counted[:, None] * len(self.store)), region)

    def drawn_voxels(self, seed: int) -> Voxels:
        """Some voxels of some slices at random, with their weights in the whole."""
        count = len(self.store)
        random = np.random.default_rng([seed, 2])
        slices = np.sort(random.choice(count, min(count, DRAWN_SLICES), replace=False))
        size = math.prod(self.store.box.shape)
        a_slice = min(size, max(DRAWN_VOXELS // len(slices), 1))
        parts = []
        for number in slices:
            part = self.voxels(int(number), int(number) + 1)
            chosen = random.choice(size, a_slice, replace=False)
            parts.append(
                (
                    [np.ascontiguousarray(values[..., chosen]) for values in part.embeddings],
                    [np.ascontiguousarray(values[..., chosen]) for values in part.images],
                    part.weights,
                    np.ascontiguousarray(part.region[..., chosen]) if self.brain_only else part.region,
                )
            )
        embeddings, images, weights, region = zip(*parts, strict=True)
        return Voxels(
            tuple(np.concatenate(values) for values in zip(*embeddings, strict=True)),
            tuple(np.concatenate(values) for values in zip(*images, strict=True)),
            np.concatenate(weights),
            np.concatenate(region) if self.brain_only else region[0],
        )

    def sums(self, voxels: Voxels, coefficients: np.ndarray, width: float, *, second: bool = True) -> Sums:
        """Sums over some voxels; `second`: with second derivatives."""
        return _added([self._row_sums(voxels, coefficients, width, second)])

    def sums_of_all(self, coefficients: np.ndarray, width: float, *, second: bool = True) -> Sums:
        """Sums over all voxels."""
        size = max(1, CHUNK_VOXELS // math.prod(self.store.box.shape))
        starts = range(0, len(self.store), size)

        def chunk(number: int) -> tuple:
            begin = starts[number]
            voxels = self.voxels(begin, min(begin + size, len(self.store)))
            return self._row_sums(voxels, coefficients, width, second)

        return _added(self.for_each(chunk, len(starts)))

    def _row_sums(self, voxels: Voxels, coefficients: np.ndarray, width: float, second: bool) -> tuple:
        return row_sums(
            voxels.embeddings,
            voxels.images,
            voxels.weights,
            voxels.region,
            np.asarray(coefficients, np.float64),
            width,
            self.relu,
            second,
        )

    def losses(self, sums: Sums) -> dict[str, float | None]:
        """Eq. 2, 5 and 6, as in the table of losses."""
        scanners = len(self.store.images)
        harmonization = float(sums.losses[scanners:].sum())
        return {
            "reconstruction": float(sums.losses[:scanners].sum()) / self.lambda3,
            "coupling": None,
            "harmonization": harmonization / self.lambda4 if self.lambda4 else None,
            "total": sums.loss,
        }


def solve_drawn(problem: Problem, drawn: Voxels, coefficients: np.ndarray) -> tuple[np.ndarray, float]:
    """The optimum over drawn voxels alone, and the width of rounding at which it is sharp enough."""
    place = coefficients
    width = FIRST_WIDTH * problem.sums(drawn, place, 1.0, second=False).loss / max(_total_weight(drawn), 1e-300)
    for _ in range(MOST_WIDTHS):
        sums = problem.sums(drawn, place, width)
        for _ in range(NEWTON_STEPS):
            step = sums.newton_step(width)
            downhill = float((sums.gradient * step).sum())
            for _ in range(MOST_HALVINGS):
                tried = problem.sums(drawn, place - step, width)
                if not _overshot(tried, step, downhill):
                    break
                step, downhill = step / 2, downhill / 2
            place, sums = place - step, tried
            if downhill < LARGEST_GAP * sums.loss:
                break
        if sums.rounding(place) < LARGEST_GAP / 3 * sums.loss:
            break
        width *= NARROWER
    return place, width


def _total_weight(voxels: Voxels) -> float:
    return float(voxels.weights.sum() * voxels.images[0].shape[1])


def _overshot(sums: Sums, step: np.ndarray, downhill: float) -> bool:
    """Whether the rounded loss, which is convex, rises again behind a step: then its minimum was passed by far."""
    return float((sums.gradient * step).sum()) < -downhill / 2


@dataclass(frozen=True)
class Solution:
    """What was reached.

    coefficients: (M, L), float32. passes: the losses at every pass over all voxels, the start first.
    lower_bound, gap: of Eq. 6, and the loss's distance from it as a share of the loss; None with ReLU.
    """

    coefficients: np.ndarray
    passes: list[dict[str, Any]]
    lower_bound: float | None
    gap: float | None


def solve(problem: Problem, coefficients: np.ndarray, *, seed: int) -> Solution:
    """Minimize Eq. 6 from `coefficients` (M, L).

    With linear decoders the gap is at most `LARGEST_GAP`, or a warning says what it is. With ReLU Eq. 6 is
    not convex: there is no bound, and a step is taken only where the loss over all voxels fell.
    """
    drawn = problem.drawn_voxels(seed)
    start = coefficients.astype(np.float64)
    sums = problem.sums_of_all(start, 1.0, second=False)
    passes = [problem.losses(sums)]
    place, width = solve_drawn(problem, drawn, start)
    if problem.relu:
        return _descend(problem, start, sums.loss, passes, place, width)
    best, lowest, bound = start, sums.loss, -math.inf
    step, downhill = None, 0.0
    while len(passes) <= MOST_PASSES:
        sums = problem.sums_of_all(place, width)
        passes.append(problem.losses(sums))
        if sums.loss < lowest:
            best, lowest = place, sums.loss
        bound = max(bound, sums.lower_bound(place, width))
        if lowest - bound <= LARGEST_GAP * lowest:
            break
        if step is not None and _overshot(sums, step, downhill):
            step, downhill = step / 2, downhill / 2
            place = place + step
            continue
        step = sums.newton_step(width)
        downhill = float((sums.gradient * step).sum())
        too_wide = sums.rounding(place) > LARGEST_GAP / 2 * lowest
        place = place - step
        if too_wide and downhill < LARGEST_GAP * lowest:
            width, step = width * NARROWER, None
    gap = (lowest - bound) / lowest if lowest > 0 else 0.0
    if gap > LARGEST_GAP:
        warnings.warn(
            f"MISPEL step 2: after {MOST_PASSES} passes the loss {lowest:.6g} is within {gap:.2g} of its optimum, not "
            f"within {LARGEST_GAP:g}; --param step2_solver=adam is the alternative",
            Caution,
            stacklevel=2,
        )
    return Solution(best.astype(np.float32), passes, bound, gap)


def _descend(
    problem: Problem, best: np.ndarray, lowest: float, passes: list[dict[str, Any]], place: np.ndarray, width: float
) -> Solution:
    """ReLU decoders: from `place`, Newton steps that count only where the loss over all voxels fell."""
    step, halvings = best - place, 0
    while len(passes) <= MOST_PASSES and halvings < MOST_HALVINGS:
        here = best - step
        sums = problem.sums_of_all(here, width)
        passes.append(problem.losses(sums))
        fell = lowest - sums.loss
        if fell <= 0:
            step, halvings = step / 2, halvings + 1
            continue
        best, lowest = here, sums.loss
        if fell < SMALLEST_FALL * lowest:
            break
        step, halvings = sums.newton_step(width), 0
    return Solution(best.astype(np.float32), passes, None, None)
