"""From class probabilities to labels and volumes: which voxels count as a tissue.

Stored probabilities are float32, so a probability of 0.8 is found as 0.79999995, 0.8 or
0.80000001 depending on who wrote it. The rules are exact about this: whatever is within
`TOLERANCE` of the threshold is the threshold, and all of it is treated alike.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from core.errors import InputError
from core.names import TISSUES
from segmentation.interface import Segmentation

Rule = Literal["posterior", "partial_volume", "hard"]
RULES: tuple[Rule, ...] = get_args(Rule)

# Some ten float32 steps at 0.8; far below what any two engines differ by.
TOLERANCE = 1e-6

# FAST's partial volumes lie on a grid of 0.01; a tenth of a step keeps the grid point 0.8.
PARTIAL_VOLUME_SLACK = 1e-3

_LOWEST_THRESHOLD = 0.51


def labels_at(segmentation: Segmentation, rule: Rule = "posterior", threshold: float = 0.8) -> np.ndarray:
    """Label the voxels that count as a tissue.

    Parameters
    ----------
    rule : `posterior`: the class's probability is above the threshold; a probability equal to it
        (within `TOLERANCE`) is not above it. `partial_volume`: the tissue fills at least the
        threshold (less `PARTIAL_VOLUME_SLACK`) of the voxel. `hard`: the most probable class, at
        any probability.
    threshold : from 0.51 to below 1, so that no voxel counts twice; `hard` doesn't use it.

    Returns
    -------
    uint8 (X, Y, Z): 0 none, 1 CSF, 2 GM, 3 WM.

    Raises
    ------
    InputError
        An unknown rule, a threshold out of range, or `partial_volume` of an engine without them.
    """
    check_rule(rule, threshold)
    if rule == "hard":
        return segmentation.labels.copy()
    labels = np.zeros(segmentation.labels.shape, dtype=np.uint8)
    for label in range(1, len(TISSUES) + 1):
        if rule == "posterior":
            counts = segmentation.posteriors[label - 1] > threshold + TOLERANCE
        else:
            counts = _partial_volumes(segmentation)[label - 1] >= threshold - PARTIAL_VOLUME_SLACK
        labels[counts] = label
    return labels


def check_rule(rule: str, threshold: float) -> None:
    """Refuse (`InputError`) an unknown rule, and a threshold out of range for one that uses it."""
    if rule not in RULES:
        raise InputError(f"no threshold rule '{rule}'; there are {', '.join(RULES)}")
    if rule != "hard" and not _LOWEST_THRESHOLD <= threshold < 1:
        raise InputError(
            f"threshold {threshold:g}; it must be from {_LOWEST_THRESHOLD:g} to below 1, "
            "or a voxel could count as two tissues"
        )


def volumes_ml(
    segmentation: Segmentation, voxel_volume_ml: float, *, threshold: float = 0.8
) -> dict[str, dict[str, float]]:
    """The volume of each tissue by each rule: how much a threshold decides.

    Parameters
    ----------
    voxel_volume_ml : the volume of a voxel in mL.
    threshold : of the rules `posterior` and `partial_volume`.

    Returns
    -------
    Tissue to mL, for each of `RULES` and for `partial_volume_sum`, where each voxel counts by the
    fraction that the tissue fills. NaN by partial volume if the engine doesn't estimate them.
    """
    everywhere = np.zeros(segmentation.labels.shape, dtype=np.int32)
    found = volumes_by_region_ml(segmentation, everywhere, 1, voxel_volume_ml, threshold=threshold)
    return {rule: dict(zip(TISSUES, map(float, volumes[0]), strict=True)) for rule, volumes in found.items()}


def volumes_by_region_ml(
    segmentation: Segmentation,
    regions: np.ndarray,
    count: int,
    voxel_volume_ml: float,
    *,
    threshold: float = 0.8,
) -> dict[str, np.ndarray]:
    """The volumes (count, 3) in mL of each tissue in each region, by each rule as in `volumes_ml`.

    `regions` (X, Y, Z) are 0 to `count` - 1; all else is as in `volumes_ml`.
    """
    flat = regions.ravel()
    none = np.full((count, len(TISSUES)), float("nan"))
    volumes: dict[str, np.ndarray] = {}
    for rule in RULES:
        if rule == "partial_volume" and segmentation.partial_volumes is None:
            volumes[rule] = none
            continue
        labels = labels_at(segmentation, rule, threshold).ravel()
        counts = np.bincount(flat * (1 + len(TISSUES)) + labels, minlength=count * (1 + len(TISSUES)))
        volumes[rule] = counts.reshape(count, -1)[:, 1:] * voxel_volume_ml
    if segmentation.partial_volumes is None:
        volumes["partial_volume_sum"] = none
    else:
        sums = [np.bincount(flat, weights=filled.ravel(), minlength=count) for filled in segmentation.partial_volumes]
        volumes["partial_volume_sum"] = np.stack(sums, axis=1) * voxel_volume_ml
    return volumes


def _partial_volumes(segmentation: Segmentation) -> np.ndarray:
    if segmentation.partial_volumes is None:
        raise InputError(
            f"engine {segmentation.engine} estimates no partial volumes; "
            "use the rule posterior or hard, or another engine"
        )
    return segmentation.partial_volumes
