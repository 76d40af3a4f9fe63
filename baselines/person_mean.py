"""Control: the mean of a person's own scans over the scanners, for every one of them.

It agrees with itself perfectly and keeps the person, without knowing anything of scanners: what looks best here
must not be called harmonization. It needs all of a person's scans, which nobody has who needs harmonization.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from baselines.interface import Method
from core.study import Scan, Study


class PersonMean(Method):
    """The mean of a person's scans, inside each scan's mask."""

    id = "person_mean"
    label = "Person's mean (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: it uses all of a person's scans at once."
    fits_on = "scan"
    unseen_scanners = True
    uses_other_scans = True

    def prepare(self, study: Study) -> None:
        """Note whose scans are at hand."""
        self._study = study
        self._subject: str | None = None

    def transform(self, scan: Scan) -> np.ndarray:
        """The person's mean image in the scan's mask."""
        if scan.subject != self._subject:
            self._mean = mean_over_masks(self._study.of_subject(scan.subject))
            self._subject = scan.subject
        return np.where(scan.read_mask(), self._mean, np.float32(0))


def mean_over_masks(scans: list[Scan], read: Callable[[Scan], np.ndarray] = Scan.read) -> np.ndarray:
    """The mean (X, Y, Z), float32, at each voxel over the scans whose mask holds it; 0 where none does.

    `read` gives a scan's image.
    """
    total = np.zeros(scans[0].shape)
    count = np.zeros(scans[0].shape, np.int32)
    for scan in scans:
        mask = scan.read_mask()
        total[mask] += read(scan)[mask]
        count += mask
    return (total / np.maximum(count, 1)).astype(np.float32)
