"""Control: the mean of a person's volumes over the scanners, for every one of them (see `baselines.person_mean`)."""

from __future__ import annotations

import numpy as np

from baselines.interface import VolumeMethod
from core.study import Scan, Study


class PersonMeanVolumes(VolumeMethod):
    """The mean of a person's volumes."""

    id = "person_mean_volumes"
    label = "Person's mean volumes (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: it uses all of a person's scans at once."
    fits_on = "scan"
    unseen_scanners = True
    uses_other_scans = True

    def fit(self, study: Study, volumes: np.ndarray) -> None:
        """Nothing is learned."""

    def prepare(self, study: Study, volumes: np.ndarray) -> None:
        """Take the means of the people at hand."""
        of_people = {subject: [scan.subject == subject for scan in study.scans] for subject in study.subjects}
        self.means = {subject: volumes[rows].mean(axis=0) for subject, rows in of_people.items()}

    def transform(self, scan: Scan, volumes: np.ndarray) -> np.ndarray:
        """The person's mean."""
        return self.means[scan.subject]
