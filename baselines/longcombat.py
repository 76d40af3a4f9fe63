"""longCombat: ComBat with an intercept of each person (Beer et al. 2020, doi 10.1016/j.neuroimage.2020.117129).

y = alpha + X beta + person + gamma + delta e, where gamma and delta are the scanner's and sum n_i gamma_i = 0. Made for
people who are followed over time, it fits those who travel: what differs between a person's scans isn't taken for what
differs between people. Where people were followed up, X has time and, of covariates that are groups, time by group
(the paper's equation 1), and the fit is given the follow-ups: so a scanner's scale doesn't stretch the change that the
model expects. Written from the paper; volumes are standardized by the standard deviation of e that restricted
maximum likelihood estimates, which is one of the two in use (the other is that of the residuals).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from baselines._covariates import coded_times
from baselines._random_intercept import fit_random_intercepts
from baselines._volume_combat import FittedVolumes, VolumeCombat, coded, shrunk
from baselines.interface import OfVolumes
from core.errors import InputError
from core.files import read_json, write_json
from core.study import Scan, Study

PEOPLE_FILE = "people.json"
NO_VARIANCE = 1e-12
"""Of a volume's mean square, at most that much variance is that of rounding."""


class LongCombat(VolumeCombat):
    """ComBat on volumes with a random intercept of each person."""

    id = "longcombat"
    label = "longCombat"
    citation = "Beer et al., NeuroImage 220 (2020) 117129"
    license = "Artistic-2.0"
    needs = frozenset({"paired"})
    fits_follow_ups = True
    limits = (
        "It gives no images. The intercept of a person whom it wasn't fitted on is estimated from the scan at hand "
        "alone, as if that were all there is, where the published method knows all people's scans."
    )

    @dataclass(frozen=True)
    class Parameters(OfVolumes):
        """of: the arm whose volumes are harmonized.

        parts: regions, whose scanners' shifts and scales are shrunk towards their mean, or tissues, each by itself.
        covariates: columns of the sheet, comma separated, whose effect is kept; numbers, or groups.
        """

        parts: Literal["tissues", "regions"] = "regions"
        covariates: str = ""

    parameters: Parameters

    def fit(self, study: Study, volumes: np.ndarray) -> None:
        """Estimate every volume's mixed model, then the scanners' shifts and scales."""
        scans = (*study.scans, *study.follow_ups)
        coding, covariates = coded(Study(scans), self.parameters.covariates, self.id)
        scanners = np.array([study.scanners.index(scan.scanner) for scan in scans])
        people = np.array([study.subjects.index(scan.subject) for scan in scans])
        indicator = np.eye(len(study.scanners))[scanners]
        times, by_group = np.zeros((len(scans), 0)), None
        if study.follow_ups:
            times, by_group = coded_times(indicator, covariates, coding, scans, self.id)
        least = np.array([volumes[scanners == number].var(axis=0) for number in range(len(study.scanners))]).min(axis=0)
        usable = least > NO_VARIANCE * np.square(volumes).mean(axis=0)
        if not usable.any():
            raise InputError(f"{self.id}: every volume is the same in all scans of a scanner; give each its own image")

        design = np.hstack([indicator, covariates, times])
        found = fit_random_intercepts(volumes[:, usable], design, people)
        counts = indicator.sum(axis=0)
        ends = np.cumsum([len(counts), covariates.shape[1]])
        by_scanner, slopes, over_time = np.split(found.coefficients, ends)
        mean = counts @ by_scanner / counts.sum()
        beyond = volumes[:, usable] - mean - covariates @ slopes - times @ over_time - found.intercepts[people]
        standard = beyond / found.deviation
        shift = indicator.T @ standard / counts[:, None]
        scale = indicator.T @ np.square(standard - shift[scanners]) / (counts - 1)[:, None]

        def spread(part: np.ndarray, rest: float) -> np.ndarray:
            """What was estimated of the usable volumes, (..., v) with `rest` for the others."""
            whole = np.full((*part.shape[:-1], len(usable)), rest)
            whole[..., usable] = part
            return whole

        shift, scale = spread(shift, 0.0), spread(scale, 1.0)
        if self.parts == "regions":
            shift, scale = shrunk(shift, scale, np.repeat(counts[:, None], len(usable), axis=1), usable)
        self.fitted = FittedVolumes(
            study.scanners,
            coding,
            {
                "mean": spread(mean, 0.0),
                "slopes": spread(slopes, 0.0),
                "deviation": spread(found.deviation, 1.0),
                "shift": shift,
                "scale": scale,
                "usable": usable,
                "effects": spread(by_scanner - mean, 0.0),
                "share": spread(found.ratio / (1 + found.ratio), 0.0),
                "intercepts": spread(found.intercepts, 0.0),
                **({} if by_group is None else {"over_time": spread(over_time, 0.0), "by_group": by_group}),
            },
        )
        self.people = study.subjects

    def transform(self, scan: Scan, volumes: np.ndarray) -> np.ndarray:
        """The volumes without their scanner's shift and scale, around the person's own."""
        arrays = self.fitted.arrays
        if scan.subject in self.people:
            own = arrays["intercepts"][self.people.index(scan.subject)]
        else:
            effects = arrays["effects"][self.fitted.number_of(scan)]
            own = arrays["share"] * (volumes - self.fitted.expected(scan) - effects)
        return self.fitted.adjusted(scan, volumes, own)

    def save(self, folder: Path) -> None:
        """Write the model, and whose the intercepts are."""
        super().save(folder)
        write_json(folder / PEOPLE_FILE, self.people)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        super().load(folder)
        self.people = list(read_json(folder / PEOPLE_FILE))
