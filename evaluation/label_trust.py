"""Whose labels can be trusted: in which scans a class of the segmentation took its neighbors' voxels.

The segmentation of every scan keeps how far each class reaches (`segmentation.spread`), the column `reach` of
`metrics/volumes.tsv`. An arm that takes noise away may be judged by that more than by what it does to scanners.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from segmentation.spread import IN_DOUBT

ON_LABELS = ("volume_difference", "volume_difference_hard", "dice")
"""Measures that stand or fall with labels; sums of partial volumes move less."""


def doubtful(volumes: pd.DataFrame) -> pd.DataFrame:
    """By method and tissue in how many of its scans (`n`) that class reaches too far (`scans`), and the most (`most`).

    `volumes` is `metrics/volumes.tsv`; a row each for methods and tissues where any scan's class does.
    """
    if "reach" not in volumes:
        return pd.DataFrame(columns=["method", "tissue", "scans", "n", "most"])
    groups = volumes.groupby(["method", "tissue"], sort=False)["reach"]
    found = groups.agg(scans=lambda reach: int((reach >= IN_DOUBT).sum()), n="size", most="max").reset_index()
    return found[found["scans"] > 0].reset_index(drop=True)


def counts_in_words(volumes: pd.DataFrame) -> dict[str, str]:
    """By method whose labels are in doubt the classes that reach too far, and in how many of its scans."""
    told: dict[str, list[str]] = {}
    for row in doubtful(volumes).to_dict("records"):
        words = f"{row['tissue']} in {row['scans']} of {row['n']} scans, reach up to {row['most']:.2f}"
        told.setdefault(row["method"], []).append(words)
    return {method: "; ".join(words) for method, words in told.items()}


def doubt_note(volumes: pd.DataFrame, label: Callable[[str], str]) -> str:
    """What stands under tables of labels where some are in doubt, with the arms whose are; else ""."""
    told = [f"{label(method)} ({words})" for method, words in counts_in_words(volumes).items()]
    if not told:
        return ""
    return (
        f"Labels in doubt: {'; '.join(told)}. A class of the segmentation took mixed voxels of its neighbors, as it "
        "does where noise is low (reach: how far towards a neighbor's mean it goes; 0.5 is half-way, above 1 beyond). "
        "Volumes by posterior or hard label, and Dice, of these arms say little; sums of partial volumes move less."
    )
