"""How near an arm's images come to the noise-free ones, which a phantom or a simulated scanner has.

Which comparison is fair. An image has a scale, and arms come on scales of their own; so before its image
is compared, an arm goes through its one affine map onto RAW's scale (never a fit a scan, which would undo
the differences between scanners that the arm left in). The noise-free image comes on RAW's scale: it was divided by
its own mean as RAW was. Two targets are used: the same scanner's noise-free image, which asks what of the
scan was kept, and the mean of the subject's noise-free images over the scanners, which is the same
for all scanners and so doesn't count a removed difference of contrast as an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.statistics import correlation
from evaluation.measures.interface import Measure, Person, Range, Summary
from evaluation.measures.similarity import ssim

TABLE = "truth_similarity"
COLUMNS = ("scanner", "ssim_truth", "ssim_truth_mean", "pearson_truth")
MEASURES = (
    Measure(
        name="ssim_truth",
        label="SSIM with the noise-free image",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition="SSIM, on RAW's scale, with the same scanner's noise-free, unwarped image.",
        reference="Wang et al. 2004",
    ),
    Measure(
        name="ssim_truth_mean",
        label="SSIM with the mean noise-free image",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition=(
            "SSIM, on RAW's scale, with the mean over scanners of the subject's noise-free, unwarped images: one "
            "target for all scanners, so that removing contrast differences isn't held against a method."
        ),
        reference="Wang et al. 2004",
        table=TABLE,
        column="ssim_truth_mean",
        summary=Summary(asks="nearer"),
    ),
    Measure(
        name="pearson_truth",
        label="Correlation with the noise-free image",
        lowest=-1.0,
        highest=1.0,
        better="higher",
        definition="Pearson correlation with the same scanner's noise-free, unwarped image.",
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
    reference: Range,
) -> dict[str, TruthSimilarity]:
    """Similarity of a subject's images (X, Y, Z) with the noise-free ones, by scanner.

    `images` and `truths` are on RAW's scale, whose `reference` is the data range.
    """
    low, data_range = reference.low, reference.high - reference.low
    mean = np.asarray(np.mean([truths[name] for name in images], axis=0, dtype=np.float32))
    return {
        name: TruthSimilarity(
            ssim_truth=ssim(image, truths[name], masks[name], low=low, data_range=data_range),
            ssim_truth_mean=ssim(image, mean, masks[name], low=low, data_range=data_range),
            pearson_truth=correlation(image[masks[name]], truths[name][masks[name]]),
        )
        for name, image in images.items()
    }


def of_person(person: Person) -> list[dict]:
    """A row a scan of which the noise-free image is known."""
    truths = {scanner: truth.image for scanner, truth in person.truth.items() if truth.image is not None}
    known = {scanner: person.images[scanner] for scanner in truths}
    found = similarity_with_truth(known, person.masks, truths, reference=person.reference_range)
    return [{"scanner": scanner, **vars(similarity)} for scanner, similarity in found.items()]
