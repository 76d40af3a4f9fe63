"""Control: the answer itself, the same for every scan of a person.

On a phantom or simulated scanners the mean over a person's scanners of their noise-free true images (the
sheet's column `truth_image`); on other scans, or where one lacks it, the mean of the person's scans. What
no harmonization can surpass: it pins the top of the measures.
"""

from __future__ import annotations

import numpy as np

from baselines.interface import Method
from baselines.person_mean import mean_over_masks
from core.images import scale_to_mean
from core.study import Scan, Study

COLUMN = "truth_image"


class Oracle(Method):
    """A person's true image, or the person's mean over scanners."""

    id = "oracle"
    label = "Oracle (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: it looks up the truth, or uses all of a person's scans at once; no harmonization may."
    unseen_scanners = True
    uses_other_scans = True

    def prepare(self, study: Study) -> None:
        """Note whose scans are at hand, and whether the truth is known for all of them."""
        self._study = study
        self._true = all(scan.file(COLUMN) is not None for scan in study.scans)
        self._subject: str | None = None

    def transform(self, scan: Scan) -> np.ndarray:
        """The mean image of the person, inside the scan's mask."""
        if scan.subject != self._subject:
            self._mean = self._mean_of(self._study.of_subject(scan.subject))
            self._subject = scan.subject
        return np.where(scan.read_mask(), self._mean, np.float32(0))

    def _mean_of(self, scans: list[Scan]) -> np.ndarray:
        """The mean (X, Y, Z) over scanners of the person's true images, or of the scans where they aren't known."""
        return mean_over_masks(scans, _true_image) if self._true else mean_over_masks(scans)


def _true_image(scan: Scan) -> np.ndarray:
    """The scan's true image on the study's scale."""
    path = scan.file(COLUMN)
    assert path is not None, "asked only where every scan's truth is known"
    return scale_to_mean(scan.load(path), scan.read_mask(), scan.scale)
