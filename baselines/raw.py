"""RAW: the scan as it entered the study, divided by its average intensity.

The paper's reference arm (Torbati et al. 2021, section 4.1): registered, bias corrected,
skull-stripped and scaled by whoever prepared the study; nothing is done here.
"""

from __future__ import annotations

import numpy as np

from baselines.interface import Method
from core.study import Scan


class Raw(Method):
    """The scan as it is."""

    id = "raw"
    label = "RAW"
    citation = "Torbati et al., ICCV workshop 2021, section 4.1"
    license = "none needed"
    limits = "Harmonizes nothing: it is what the other arms are compared with."
    fits_on = "scan"
    unseen_scanners = True

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan's own voxels."""
        return scan.read()
