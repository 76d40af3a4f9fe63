"""Z-score: one affine map a scan, so that the brain has mean 0 and SD 1.

Reinhold et al., SPIE Medical Imaging (2019) 109493H, through `intensity-normalization`.
"""

from __future__ import annotations

from typing import Any

from baselines._intensity_normalization import ScanArm


class ZScore(ScanArm):
    """The library's z-score."""

    id = "zscore"
    label = "Z-score"
    citation = "Reinhold et al., SPIE Medical Imaging (2019) 109493H"
    license = "MIT"
    limits = "One affine map a scan: it cannot change contrast between tissues, and atrophy shifts the brain's mean."

    def normalizer(self) -> Any:
        """The library's normalizer, which has no parameters."""
        from intensity_normalization.normalizers.individual.zscore import ZScoreNormalizer

        return ZScoreNormalizer()
