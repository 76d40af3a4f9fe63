"""CovBat: ComBat, then ComBat on the leading scores of what is left (Chen et al. 2022, doi 10.1002/hbm.25688).

What scanners do to the covariance of volumes, which no volume by itself shows. Written from the paper and our notes:
the residuals of ComBat, in their standard deviations, are parted into principal components; the scores that hold most
of the variance lose each scanner's mean and variance, the rest stay, and all are put together again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from baselines._volume_combat import VolumeCombat, fit_volumes, scanner_numbers
from baselines.combat import adjust, locate
from baselines.interface import OfVolumes, Plan
from core.errors import InputError
from core.study import Scan, Study

SCORES_FILE = "scores.npz"


class CovBat(VolumeCombat):
    """ComBat on volumes, and on the scores of the leading components of what it leaves."""

    id = "covbat"
    label = "CovBat"
    citation = "Chen et al., Human Brain Mapping 43 (2022) 1179-1195"
    limits = (
        "It gives no images; there are at most as many components as scans, so that with few people little of the "
        "covariance is known; it makes no use of who was scanned twice."
    )

    @dataclass(frozen=True)
    class Parameters(OfVolumes):
        """of: the arm whose volumes are harmonized.

        parts: regions, or tissues, which are too few for much of a covariance.
        covariates: columns of the sheet, comma separated, whose effect is kept; numbers, or groups.
        variance: share of the residuals' variance that the harmonized scores hold at least, above 0, up to 1.
        """

        parts: Literal["tissues", "regions"] = "regions"
        covariates: str = ""
        variance: float = 0.95

    parameters: Parameters

    def check_plan(self, plan: Plan) -> None:
        """A covariate that no scan has, and a share that is none."""
        super().check_plan(plan)
        self._check_variance()

    def _check_variance(self) -> None:
        if not 0 < self.parameters.variance <= 1:
            raise InputError(f"{self.id}.variance: {self.parameters.variance:g}; give a share above 0, up to 1")

    def fit(self, study: Study, volumes: np.ndarray) -> None:
        """Fit ComBat, part what it leaves into components, and estimate each leading score's model."""
        self._check_variance()
        self.fitted = fit_volumes(
            study, volumes, self.parameters.covariates, self.id, empirical_bayes=self.parts == "regions"
        )
        rows = zip(study.scans, volumes, strict=True)
        residuals = np.array([self._residuals(scan, self.fitted.adjusted(scan, own)) for scan, own in rows])
        center = residuals.mean(axis=0)
        _, singular, components = np.linalg.svd(residuals - center, full_matrices=False)
        shares = np.cumsum(singular**2) / np.sum(singular**2)
        leading = components[: 1 + int(np.searchsorted(shares, self.parameters.variance - 1e-12))]
        found = locate((residuals - center) @ leading.T, scanner_numbers(study), np.zeros((len(volumes), 0)))
        self.scores = {
            "center": center,
            "components": leading[found.usable],
            "mean": found.mean[found.usable],
            "deviation": found.deviation[found.usable],
            "shift": found.shift[:, found.usable],
            "scale": found.scale[:, found.usable],
        }

    def _residuals(self, scan: Scan, volumes: np.ndarray) -> np.ndarray:
        """What the model doesn't expect of the volumes that can be fitted, in standard deviations."""
        usable = self.fitted.arrays["usable"]
        return ((volumes - self.fitted.expected(scan)) / self.fitted.arrays["deviation"])[usable]

    def transform(self, scan: Scan, volumes: np.ndarray) -> np.ndarray:
        """The volumes without their scanner's shift and scale, nor those of the leading scores."""
        adjusted = self.fitted.adjusted(scan, volumes)
        residuals = self._residuals(scan, adjusted)
        scores, number = self.scores, self.fitted.number_of(scan)
        own = (residuals - scores["center"]) @ scores["components"].T
        new = adjust(own, scores["shift"][number], scores["scale"][number], scores["mean"], scores["deviation"])
        usable = self.fitted.arrays["usable"]
        adjusted[usable] += ((new - own) @ scores["components"]) * self.fitted.arrays["deviation"][usable]
        return adjusted

    def save(self, folder: Path) -> None:
        """Write ComBat's model, and that of the scores."""
        super().save(folder)
        np.savez(folder / SCORES_FILE, **self.scores)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        super().load(folder)
        with np.load(folder / SCORES_FILE, allow_pickle=False) as stored:
            self.scores = dict(stored)
