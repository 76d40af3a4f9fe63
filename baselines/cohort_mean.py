"""Control: everyone's scan becomes the same brain, the mean of all training scans.

Scanners agree perfectly and so do people: it pins measures of agreement that forget whose brain it was.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from baselines.interface import Method
from core.jobs.command import progress
from core.study import Scan, Study

MODEL_FILE = "mean.npz"


class CohortMean(Method):
    """The mean of the training scans, inside each scan's own mask."""

    id = "cohort_mean"
    label = "Cohort mean (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: it keeps nothing of a person but the outline of the mask."
    unseen_scanners = True
    by_voxel = True

    def fit(self, study: Study) -> None:
        """Average at each voxel the scans whose mask holds it; where none does, the brain's mean stands."""
        total = np.zeros(study.shape)
        count = np.zeros(study.shape, np.int32)
        for scan in progress(study.scans, what="cohort_mean: read"):
            mask = scan.read_mask()
            total[mask] += scan.read()[mask]
            count += mask
        whole = total.sum() / count.sum()
        self.mean = np.where(count > 0, total / np.maximum(count, 1), whole).astype(np.float32)

    def transform(self, scan: Scan) -> np.ndarray:
        """The mean brain in the scan's mask."""
        return np.where(scan.read_mask(), self.mean, np.float32(0))

    def save(self, folder: Path) -> None:
        """Write `mean.npz`."""
        np.savez(folder / MODEL_FILE, mean=self.mean)

    def load(self, folder: Path) -> None:
        """Read `mean.npz`."""
        with np.load(folder / MODEL_FILE, allow_pickle=False) as stored:
            self.mean = stored["mean"]
