"""Every measure's name, unit, range and direction, in one place.

Statistics, tables and figures read these instead of knowing any measure themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from studies.errors import InputError, nearest


@dataclass(frozen=True)
class Measure:
    """What a measure is: `name` as in the TSVs, `label` for people, and which way is better."""

    name: str
    label: str
    unit: str
    lowest: float
    highest: float
    better: Literal["higher", "lower"]
    definition: str

    def improves(self, difference: float) -> bool:
        """Whether a change by `difference` (method minus reference) is for the better."""
        return difference > 0 if self.better == "higher" else difference < 0


SSIM_DEFINITION = (
    "SSIM: three-dimensional, Gaussian window of sigma 1.5 voxels cut at radius 5, K1 0.01, K2 0.03; "
    "the data range is one number a method, from the 0.5th to the 99.5th percentile of the brain "
    "voxels of all its images; background set to the 0.5th percentile; the map is averaged over the "
    "voxels that are brain in both scans."
)

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("ssim", "SSIM", "", -1.0, 1.0, "higher", SSIM_DEFINITION),
        Measure(
            "ssim_common_scale",
            "SSIM on RAW's scale",
            "",
            -1.0,
            1.0,
            "higher",
            "SSIM as above, after each method's images went through one affine map a method onto "
            "RAW's scale, which makes it comparable across methods.",
        ),
        Measure(
            "pearson",
            "Pearson correlation",
            "",
            -1.0,
            1.0,
            "higher",
            "Pearson correlation over the voxels that are brain in both scans; no scale enters it.",
        ),
        Measure(
            "volume_difference",
            "Absolute difference of volumes",
            "mL",
            0.0,
            math.inf,
            "lower",
            "|V_a - V_b| of a tissue's volumes on scanners a and b.",
        ),
        Measure(
            "rmse",
            "RMSE of volumes",
            "mL",
            0.0,
            math.inf,
            "lower",
            "Square root of the mean over subjects of (V_a - V_b)^2.",
        ),
        Measure(
            "dice",
            "Dice",
            "",
            0.0,
            1.0,
            "higher",
            "2|A and B|/(|A| + |B|) of a tissue's labels on scanners a and b; n/a where both are empty.",
        ),
        Measure(
            "volume_error",
            "Absolute error of volumes",
            "mL",
            0.0,
            math.inf,
            "lower",
            "|V - V_true|, V_true the sum of the true tissue fractions.",
        ),
        Measure(
            "dice_truth",
            "Dice with the true labels",
            "",
            0.0,
            1.0,
            "higher",
            "Dice of a tissue's labels with the true ones.",
        ),
        Measure(
            "ssim_truth",
            "SSIM with the noise-free image",
            "",
            -1.0,
            1.0,
            "higher",
            "SSIM, on RAW's scale, with the same scanner's noise-free, unwarped image.",
        ),
        Measure(
            "ssim_truth_mean",
            "SSIM with the mean noise-free image",
            "",
            -1.0,
            1.0,
            "higher",
            "SSIM, on RAW's scale, with the mean over scanners of the subject's noise-free, unwarped "
            "images: one target for all scanners, so that removing contrast differences isn't held "
            "against a method.",
        ),
        Measure(
            "pearson_truth",
            "Correlation with the noise-free image",
            "",
            -1.0,
            1.0,
            "higher",
            "Pearson correlation with the same scanner's noise-free, unwarped image.",
        ),
    )
}


def find(name: str) -> Measure:
    """The measure of that name; raises `InputError` with the nearest known one."""
    if name not in MEASURES:
        raise InputError(f"no measure '{name}'{nearest(name, MEASURES)}")
    return MEASURES[name]
