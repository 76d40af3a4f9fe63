"""A sweep of an arm's parameters, judged on people that no fit has seen.

A training's losses grow with their weights and cannot choose them. Two numbers on held-out people can:
how far the harmonized image is from the scan it was made of, and how far one person's harmonized images
are from each other. One is easily had at the other's cost, so what comes out is a front, not a winner.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError
from core.jobs.command import progress
from core.names import RAW
from core.study import Study
from evaluation.arms.images import read_arm_image

SCORES = ("reconstruction_error", "pairwise_difference")


def reconstruction_error(harmonized: np.ndarray, scan: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute difference of a harmonized image (X, Y, Z) and its scan in the mask; lower is better.

    In the unit of the scan. Torbati et al. (2021), Eq. 2, over the image that comes out.
    """
    return float(np.abs(harmonized[mask] - scan[mask]).mean(dtype=np.float64))


def pairwise_difference(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> float:
    """Mean absolute difference of one person's images (M of X, Y, Z), over pairs; lower is better.

    A pair counts where both have brain; NaN for fewer than two images. Torbati et al. (2021), Eq. 5.
    """
    differences = [
        np.abs(images[a][both] - images[b][both]).mean(dtype=np.float64)
        for a, b in itertools.combinations(range(len(images)), 2)
        if (both := masks[a] & masks[b]).any()
    ]
    return float(np.mean(differences)) if differences else float("nan")


def on_front(scores: np.ndarray) -> np.ndarray:
    """Which of the points (N, 2), lower being better in both, no other point beats: bool (N,).

    A point is beaten by one that is no worse in either and better in one.
    """
    no_worse = (scores[:, None] <= scores[None]).all(axis=2)
    better = (scores[:, None] < scores[None]).any(axis=2)
    return ~np.any(no_worse & better, axis=0)


def score_points(study: Study, points: Mapping[str, Mapping[str, Any]], images: Path) -> pd.DataFrame:
    """The table of a sweep over the held-out people of `study`; `images/<point>` has each point's images.

    Columns: point, a column a parameter, the two scores (means over people, in units of RAW), their standard
    deviations over people, n people, on_front. The last row, `raw`, is the scans themselves. Raises
    `InputError` for people with fewer than two scans alone.
    """
    rows = []
    for point, parameters in progress([*points.items(), (RAW, {})], what="sweep", total=len(points) + 1):
        people = np.array([_score_person(study, subject, point, images) for subject in study.subjects])
        people = people[np.isfinite(people).all(axis=1)]
        if not len(people):
            raise InputError("the held-out people have fewer than two scans each; hold out others, or more")
        means, deviations = people.mean(axis=0), people.std(axis=0, ddof=1) if len(people) > 1 else [np.nan] * 2
        rows.append(
            {
                "point": point,
                **parameters,
                **dict(zip(SCORES, means, strict=True)),
                **{f"{name}_sd": value for name, value in zip(SCORES, deviations, strict=True)},
                "n": len(people),
            }
        )
    table = pd.DataFrame(rows)
    # RAW reconstructs itself without fault and harmonizes nothing: a reference, not a choice
    chosen = table["point"] != RAW
    table["on_front"] = False
    table.loc[chosen, "on_front"] = on_front(table.loc[chosen, list(SCORES)].to_numpy())
    return table


def _score_person(study: Study, subject: str, point: str, images: Path) -> tuple[float, float]:
    scans = study.of_subject(subject)
    masks = [scan.read_mask() for scan in scans]
    raw = [scan.read() for scan in scans]
    made = (
        raw
        if point == RAW
        else [read_arm_image(images / point, scan, mask) for scan, mask in zip(scans, masks, strict=True)]
    )
    errors = [reconstruction_error(*each) for each in zip(made, raw, masks, strict=True)]
    return float(np.mean(errors)), pairwise_difference(made, masks)
