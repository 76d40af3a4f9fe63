"""Statistics that more than one wing needs."""

from __future__ import annotations

import numpy as np


def correlation(values_a: np.ndarray, values_b: np.ndarray) -> float:
    """Pearson correlation of two vectors, in float64; NaN where one is constant or both are empty."""
    if values_a.size == 0 or np.ptp(values_a) == 0 or np.ptp(values_b) == 0:
        return float("nan")
    a = values_a.astype(np.float64)
    b = values_b.astype(np.float64)
    a -= a.mean()
    b -= b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))
