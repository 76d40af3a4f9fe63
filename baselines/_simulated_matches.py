"""Matched images that nobody was scanned for: a scan as other scanners might show the same brain.

After Meyer et al. (Frontiers in Neuroscience 2021, fnins.2021.708196), as ESPA takes it up: an image's intensities are
a mixture of Gaussians, and another scanner moves and widens each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_DRAWS = 100
"""Of means in the order of the source's; then their nearest such order is taken."""


LEAST = 1e-3
"""Of the mean of a simulated brain."""


@dataclass(frozen=True)
class Mixture:
    """The components of an image's intensities, darkest first: weights, means and deviations (k,), and its mean."""

    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    mean: float

    def posteriors(self, values: np.ndarray) -> np.ndarray:
        """The probability (k, v) of each component, of intensities (v,)."""
        standard = (values[None] - self.means[:, None]) / self.deviations[:, None]
        logs = np.log(self.weights / self.deviations)[:, None] - standard**2 / 2
        likelihood = np.exp(logs - logs.max(axis=0))
        return likelihood / likelihood.sum(axis=0)


@dataclass(frozen=True)
class Ranges:
    """From what a source scanner's components differ from a target's, least and most: (2, k) each.

    level: the least and the most mean of a target's image (2,).
    """

    means: np.ndarray
    deviations: np.ndarray
    level: np.ndarray


def ranges_between(sources: Sequence[Mixture], targets: Sequence[Mixture]) -> Ranges:
    """The ranges of the differences of components, target less source, over all pairs of scans of two scanners.

    Whose scans they are isn't looked at.
    """

    def ends(name: str) -> np.ndarray:
        differences = [getattr(target, name) - getattr(source, name) for source in sources for target in targets]
        return np.array([np.min(differences, axis=0), np.max(differences, axis=0)])

    levels = [target.mean for target in targets]
    return Ranges(ends("means"), ends("deviations"), np.array([min(levels), max(levels)]))


def draw(source: Mixture, ranges: Ranges, generator: np.random.Generator) -> Mixture:
    """Components of a target's image of a source's brain: each drawn uniformly from its range, in their order.

    A deviation is at least a tenth of the source's.
    """
    for _ in range(MOST_DRAWS):
        means = source.means + generator.uniform(*ranges.means)
        if (np.diff(means) > 0).all():
            break
    deviations = np.maximum(source.deviations + generator.uniform(*ranges.deviations), source.deviations / 10)
    return Mixture(source.weights, np.sort(means), deviations, float(generator.uniform(*ranges.level)))


def moved(values: np.ndarray, source: Mixture, target: Mixture) -> np.ndarray:
    """A brain's intensities (v,), float32, with its components moved to a target's.

    x' = sum_k p_k (mu'_k + sigma'_k (x - mu_k) / sigma_k), raised to be nowhere below 0 and scaled to the target's
    mean. A voxel of exactly 0 would be taken for background, so that `LEAST` of the mean is the least.
    """
    ratio = target.deviations / source.deviations
    each = target.means[:, None] + ratio[:, None] * (values[None] - source.means[:, None])
    found = (source.posteriors(values) * each).sum(axis=0)
    found -= min(0.0, float(found.min()))
    found = np.maximum(found, LEAST * found.mean())
    return (found * (target.mean / found.mean())).astype(np.float32)
