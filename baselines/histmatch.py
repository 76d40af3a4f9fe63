"""Histogram matching: every scan's brain gets the mean histogram of the training scans.

The classical technique (Gonzalez and Woods, Digital Image Processing, 3.3.2) by scikit-image. The
reference is the mean of the training scans' quantile functions and not one of the scans, so that no
scanner's contrast and no person's tissue volumes are made the standard.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from baselines.interface import Method
from core.jobs.command import progress
from core.study import Scan, Study

MODEL_FILE = "reference.npz"
LEVELS = 10_000
"""Quantiles that stand for a histogram: 1 mm brains have 180 voxels to each."""


def quantile_function(brain: np.ndarray) -> np.ndarray:
    """The intensities (LEVELS,) at the middles of equal shares of the brain's voxels (n,)."""
    return np.quantile(brain.astype(np.float64), (np.arange(LEVELS) + 0.5) / LEVELS)


class HistogramMatching(Method):
    """scikit-image's `match_histograms` on brain voxels."""

    id = "histmatch"
    label = "Histogram matching"
    citation = "van der Walt et al., scikit-image, PeerJ 2 (2014) e453"
    license = "BSD-3-Clause"
    limits = "Every brain gets the same histogram, so that differences in tissue volume between people are removed too."
    unseen_scanners = True
    maps_intensities = True
    learns_scanners = False
    libraries = ("skimage",)

    def fit(self, study: Study) -> None:
        """Average the training scans' quantile functions."""
        self.reference = np.zeros(LEVELS)
        for scan in progress(study.scans, what="histmatch: histograms"):
            self.reference += quantile_function(scan.read()[scan.read_mask()]) / len(study.scans)

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan with the reference's histogram."""
        from skimage.exposure import match_histograms

        mask = scan.read_mask()
        image = np.zeros(scan.shape, np.float32)
        image[mask] = match_histograms(scan.read()[mask], self.reference)
        return image

    def save(self, folder: Path) -> None:
        """Write `reference.npz`."""
        np.savez(folder / MODEL_FILE, reference=self.reference)

    def load(self, folder: Path) -> None:
        """Read `reference.npz`."""
        with np.load(folder / MODEL_FILE, allow_pickle=False) as stored:
            self.reference = stored["reference"]
