"""How far a class of a segmentation reaches towards its neighbors: whether it takes voxels that aren't its own.

Each class has a variance of its own, which nothing bounds. Where noise is low, the pure voxels of two classes lie in
narrow peaks, and the mixed voxels between the peaks are likeliest in a third: CSF's, once it is wide enough to reach
them over gray matter's peak, or gray matter's, between those of CSF and white matter. It takes them, and grows. That
is the maximum of the likelihood, whatever the start (`docs/originals.md` has the figures).
"""

from __future__ import annotations

import numpy as np

IN_DOUBT = 0.75
"""From here on labels are in doubt. Five images that FAST was run on have 0.66 and less, eight further brains 0.68."""

_SLIVER = 0.05
"""A part of the way beyond a neighbor that is shorter than this is none."""

_STEPS = 1000


def reaches(means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """How far each class reaches, float64 (3,): the most, towards any neighbor, of the way to that one's mean.

    0.5 is half-way, a fair share; above 1 the class is the likeliest beyond the neighbor too, on so much of the way
    to the class behind it. Told by the Gaussians alone. `means` and `variances` (3,) are a segmentation's, by rising
    mean, on the scale that its engine models.
    """
    last = len(means) - 1
    own = np.array([[_share(means, variances, k, side, side + 1) for k in range(last + 1)] for side in range(last)])
    return np.array([_reach(own, k) for k in range(last + 1)])


def _share(means: np.ndarray, variances: np.ndarray, which: int, low: int, high: int) -> float:
    """On which part of the way between two classes' means a class is the likeliest of all."""
    way = np.linspace(means[low], means[high], _STEPS + 1)
    log_density = -0.5 * ((way[:, None] - means) ** 2 / variances + np.log(variances))
    return float(np.mean(log_density.argmax(axis=1) == which))


def _reach(own: np.ndarray, which: int) -> float:
    """A class's reach from its shares (gaps, classes) of the gaps between neighbors' means."""
    beside = [gap for gap in range(len(own)) if which in (gap, gap + 1)]
    beyond = max((own[gap, which] for gap in range(len(own)) if gap not in beside), default=0.0)
    return 1 + beyond if beyond > _SLIVER else max(own[gap, which] for gap in beside)
