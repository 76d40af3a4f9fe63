"""Control: everyone's volumes become the mean of all training scans' (see `baselines.cohort_mean`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from baselines.interface import VolumeMethod
from core.study import Scan, Study

MODEL_FILE = "mean.npz"


class CohortMeanVolumes(VolumeMethod):
    """The mean volumes of the training scans."""

    id = "cohort_mean_volumes"
    label = "Cohort's mean volumes (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: it keeps nothing of a person."
    unseen_scanners = True

    def fit(self, study: Study, volumes: np.ndarray) -> None:
        """Take the mean over scans."""
        self.mean = volumes.mean(axis=0)

    def transform(self, scan: Scan, volumes: np.ndarray) -> np.ndarray:
        """The mean."""
        return self.mean

    def save(self, folder: Path) -> None:
        """Write `mean.npz`."""
        np.savez(folder / MODEL_FILE, mean=self.mean)

    def load(self, folder: Path) -> None:
        """Read `mean.npz`."""
        with np.load(folder / MODEL_FILE, allow_pickle=False) as stored:
            self.mean = stored["mean"]
