"""How near an arm comes to the truth, which a phantom or a simulated scanner has.

Which comparison is fair.  Volumes and labels have no scale, so every arm is compared as it is.  An
image has one, and arms come on scales of their own; so before its image is compared, an arm goes
through its one affine map onto RAW's scale (never a fit a scan, which would undo the differences
between scanners that the arm left in).  The noise-free image comes on RAW's scale: it was divided by
its own mean as RAW was.  Two targets are used: the same scanner's noise-free image, which asks what of the
scan was kept, and the mean of the subject's noise-free images over the scanners, which is the same
for all scanners and so doesn't count a removed difference of contrast as an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.measures.interface import Measure, Summary
from evaluation.measures.similarity import correlation, ssim

MEASURES = (
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
        reference="Dice 1945",
        summary=Summary("truth", "dice_truth", "removed"),
    ),
    Measure(
        "ssim_truth",
        "SSIM with the noise-free image",
        "",
        -1.0,
        1.0,
        "higher",
        "SSIM, on RAW's scale, with the same scanner's noise-free, unwarped image.",
        reference="Wang et al. 2004",
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
        reference="Wang et al. 2004",
        summary=Summary("truth_similarity", "ssim_truth_mean", "removed"),
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


@dataclass(frozen=True)
class TruthSimilarity:
    """How alike an image is to the noise-free one of its scanner, and to the mean noise-free one."""

    ssim_truth: float
    ssim_truth_mean: float
    pearson_truth: float


def similarity_with_truth(
    images: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    truths: Mapping[str, np.ndarray],
    *,
    low: float,
    high: float,
) -> dict[str, TruthSimilarity]:
    """Similarity of a subject's images (X, Y, Z) with the noise-free ones, by scanner.

    `images` and `truths` are on RAW's scale; `low` and `high` are RAW's ends, the data range.
    """
    mean = np.mean([truths[name] for name in images], axis=0, dtype=np.float32)
    return {
        name: TruthSimilarity(
            ssim_truth=ssim(image, truths[name], masks[name], low=low, data_range=high - low),
            ssim_truth_mean=ssim(image, mean, masks[name], low=low, data_range=high - low),
            pearson_truth=correlation(image[masks[name]], truths[name][masks[name]]),
        )
        for name, image in images.items()
    }
