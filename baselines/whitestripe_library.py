"""White Stripe as the library `intensity-normalization` has it, to show how far it is from `whitestripe`.

Shinohara et al., NeuroImage: Clinical 6 (2014) 9-19.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from baselines._intensity_normalization import ScanArm


class WhiteStripeLibrary(ScanArm):
    """The library's White Stripe; only the background is put back to 0."""

    id = "whitestripe_library"
    label = "WS (library)"
    citation = "Shinohara et al., NeuroImage: Clinical 6 (2014) 9-19; intensity-normalization 3.0.1"
    license = "MIT"
    limits = "One affine map a scan; its mode, on a grid of 80 points, is up to 1.8 stripe SDs off the R package's."

    @dataclass(frozen=True)
    class Parameters:
        """width: half the share of the brain's voxels that the stripe holds."""

        width: float = 0.05

        def __post_init__(self) -> None:
            if not 0 < self.width <= 0.5:
                raise ValueError(f"width is {self.width:g}; it is a share between 0 and 0.5")

    parameters: Parameters

    def normalizer(self) -> Any:
        """The library's normalizer for T1-weighted images."""
        from intensity_normalization.normalizers.individual.whitestripe import WhiteStripeNormalizer

        return WhiteStripeNormalizer(width=self.parameters.width)
