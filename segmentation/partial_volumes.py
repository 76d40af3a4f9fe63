"""How much of each voxel each tissue fills, from finished posteriors, in FAST's manner.

A voxel is either pure or a mixture of two tissues: six types. In a mixture with a share a of one
tissue the intensity is Gaussian with mean a mu_1 + (1 - a) mu_2 and variance a**2 var_1 +
(1 - a)**2 var_2, on the scale of intensities, not of their logarithm. A type's likelihood is the
mean over all shares; neighbors favor equal and, less so, akin types; then a mixture's share is
the most likely one, on a grid of 0.01. FAST's own stage isn't published: this form and its three
numbers below were chosen to give its volumes, and do so within 4 % on five
images (sums of fractions: 1 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.kernels import kernel

TYPES = ((0,), (1,), (2,), (0, 1), (1, 2), (0, 2))
OUTSIDE = len(TYPES)

BETA = 0.3
AKIN = 0.65
SWEEPS = 2

# Intensities are looked up in this many steps from 0 to the brightest class's mean and 6 SD.
_STEPS = 8192
_REACH_SD = 6
_SHARES = np.arange(1, 100) / 100


@dataclass(frozen=True)
class TypeTable:
    """What an intensity says about a voxel's type, for each of `_STEPS` intensities.

    Attributes
    ----------
    step : the intensity of one step.
    log_likelihoods : float32 (steps, types).
    fractions : float32 (3, types + 1, steps), each class's share by type; 0 for `OUTSIDE`.
    """

    step: float
    log_likelihoods: np.ndarray
    fractions: np.ndarray

    def steps(self, intensities: np.ndarray) -> np.ndarray:
        """uint16: the step of each intensity, those beyond the table at its ends."""
        return np.clip(intensities / np.float32(self.step), 0, _STEPS - 1).astype(np.uint16)


def type_table(means: np.ndarray, variances: np.ndarray) -> TypeTable:
    """Make the table from the classes' means and variances (3,), as intensities."""
    step = float(np.max(means + _REACH_SD * np.sqrt(variances))) / _STEPS
    intensities = (np.arange(_STEPS) + 0.5) * step
    log_likelihoods = np.zeros((_STEPS, len(TYPES)), dtype=np.float32)
    fractions = np.zeros((len(means), len(TYPES) + 1, _STEPS), dtype=np.float32)
    for number, members in enumerate(TYPES):
        if len(members) == 1:
            (pure,) = members
            log_likelihoods[:, number] = _log_density(intensities, means[pure], variances[pure])
            fractions[pure, number] = 1
            continue
        one, two = members
        by_share = _log_density(
            intensities[:, None],
            _SHARES * means[one] + (1 - _SHARES) * means[two],
            _SHARES**2 * variances[one] + (1 - _SHARES) ** 2 * variances[two],
        )
        best = by_share.max(axis=1)
        relative = np.exp(by_share - best[:, None]).mean(axis=1)
        log_likelihoods[:, number] = best + np.log(relative)
        share = _SHARES[by_share.argmax(axis=1)]
        fractions[one, number] = share
        fractions[two, number] = 1 - share
    return TypeTable(step, log_likelihoods, fractions)


def affinities() -> np.ndarray:
    """float32 (types + 1, types): `BETA` x how much a neighbor of one type favors each other.

    1 for the same type, `AKIN` between a pure type and a mixture that holds it, else 0; nothing
    from a neighbor that is `OUTSIDE`.
    """
    table = np.zeros((len(TYPES) + 1, len(TYPES)), dtype=np.float32)
    for a, one in enumerate(TYPES):
        for b, two in enumerate(TYPES):
            if a == b:
                table[a, b] = BETA
            elif set(one) < set(two) or set(two) < set(one):
                table[a, b] = BETA * AKIN
    return table


def neighbors(voxel_sizes: tuple[float, float, float], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The 18 nearest voxels: int64 (18,) how far in a flattened grid, float32 (18,) their weights.

    The weight is 1 / distance in units of a cube of the voxel's volume, so 1 across the faces of
    isotropic voxels of any size, which agrees with FAST's volumes at 1 and at 2 mm.
    """
    offsets = np.indices((3, 3, 3)).reshape(3, -1).T - 1
    steps = np.abs(offsets).sum(axis=1)
    offsets = offsets[(steps == 1) | (steps == 2)]
    distances = np.linalg.norm(offsets * np.array(voxel_sizes), axis=1)
    weights = np.prod(voxel_sizes) ** (1 / 3) / distances
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    return offsets @ strides, weights.astype(np.float32)


def _log_density(values: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return -0.5 * ((values - mean) ** 2 / variance + np.log(variance))


@kernel
def sweep_types(start, stop, step, types, steps, log_likelihoods, affinity, neighbors, weights):
    """Give every ``step``-th plane's voxels, one by one, their best type among their neighbors'.

    ``types`` uint8 (I + 2, J + 2, K + 2), `OUTSIDE` outside the mask and on the rim, is changed in
    place. ``steps`` uint16 (I, J, K). ``neighbors`` int64 (N,): how far they are in the flattened
    ``types``, with ``weights`` float32 (N,).
    """
    lines, columns = steps.shape[1], steps.shape[2]
    flat = types.reshape(-1)
    for i in range(start, stop, step):
        for j in range(lines):
            row = ((i + 1) * (lines + 2) + j + 1) * (columns + 2) + 1
            for k in range(columns):
                here = row + k
                if flat[here] == OUTSIDE:
                    continue
                likely = log_likelihoods[steps[i, j, k]]
                e0, e1, e2, e3, e4, e5 = (
                    likely[0], likely[1], likely[2], likely[3], likely[4], likely[5]
                )  # fmt: skip
                for n in range(neighbors.shape[0]):
                    weight = weights[n]
                    favor = affinity[flat[here + neighbors[n]]]
                    e0 += weight * favor[0]
                    e1 += weight * favor[1]
                    e2 += weight * favor[2]
                    e3 += weight * favor[3]
                    e4 += weight * favor[4]
                    e5 += weight * favor[5]
                best, most = 0, e0
                for n, energy in ((1, e1), (2, e2), (3, e3), (4, e4), (5, e5)):
                    if energy > most:
                        best, most = n, energy
                flat[here] = best
