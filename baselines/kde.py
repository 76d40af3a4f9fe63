"""KDE: every scan divided by its white matter mode, which a kernel density estimate finds.

Reinhold et al., SPIE Medical Imaging (2019) 109493H, through `intensity-normalization`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baselines._intensity_normalization import ScanArm, normalize_brain

TAIL = 96.0
"""The library looks for the mode below this percentile."""


class Kde(ScanArm):
    """The library's mode normalization, with scans handed over in SDs.

    The library takes a width in the image's unit, its maximum / 80, for a multiple of the SD, so that an
    image of 0..1000 is smoothed until gray matter is its only mode. Both mean the same in SDs.
    """

    id = "kde"
    label = "KDE"
    citation = "Reinhold et al., SPIE Medical Imaging (2019) 109493H"
    license = "MIT"
    limits = "One factor a scan, from a mode on a grid of 80 points: it cannot change contrast or offset."

    def normalizer(self) -> Any:
        """The library's normalizer for T1-weighted images."""
        from intensity_normalization.normalizers.individual.kde import KDENormalizer

        return KDENormalizer()

    def normalize(self, voxels: np.ndarray) -> np.ndarray:
        """Brain voxels (n,) divided by their mode, float32."""
        deviation = voxels[voxels <= np.percentile(voxels, TAIL)].std()
        return normalize_brain(self.normalizer(), voxels / (deviation or 1))
