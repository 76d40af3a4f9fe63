"""FCM: every scan divided by the mean of one tissue, which fuzzy c-means finds.

Reinhold et al., SPIE Medical Imaging (2019) 109493H, through `intensity-normalization`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from baselines._intensity_normalization import ScanArm


class Fcm(ScanArm):
    """The library's fuzzy c-means normalization with three classes."""

    id = "fcm"
    label = "FCM"
    citation = "Reinhold et al., SPIE Medical Imaging (2019) 109493H"
    license = "MIT"
    limits = "One factor a scan: it aligns one tissue and cannot change contrast, offset, noise or resolution."

    @dataclass(frozen=True)
    class Parameters:
        """tissue: whose mean becomes 1; wm, gm or csf."""

        tissue: Literal["wm", "gm", "csf"] = "wm"

    parameters: Parameters

    def normalizer(self) -> Any:
        """The library's normalizer for that tissue."""
        from intensity_normalization.domain.models import TissueType
        from intensity_normalization.normalizers.individual.fcm import FCMNormalizer

        return FCMNormalizer(tissue_type=TissueType(self.parameters.tissue))
