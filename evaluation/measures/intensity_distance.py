"""How far the intensities of one tissue are apart on two scanners."""

from __future__ import annotations

import itertools
import math

import numpy as np

from core.errors import InputError
from evaluation.measures.interface import Measure, Person, Summary

TABLE = "intensity_distances"
PAIRS = True
MEASURES = (
    Measure(
        name="wasserstein",
        label="Distance of intensities",
        unit="of RAW's brain mean",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "Wasserstein-1 distance of a tissue's intensities on scanners a and b, on RAW's scale, over the voxels "
            "that RAW's segmentation gives to the tissue on at least half of the person's scanners."
        ),
        reference="Rubner et al. 2000; Wrobel et al. 2020 for harmonization",
        table=TABLE,
        column="wasserstein",
        by_tissue=True,
        summary=Summary(asks="removed"),
    ),
)


def wasserstein_of_sorted(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein-1 distance of two equally large samples (N,), each sorted, in their unit; NaN if empty.

    For equal counts it is the mean distance of the sorted values, which lets a scan be sorted once for
    all its pairs; `scipy.stats.wasserstein_distance` sorts all of both anew. Range 0 upwards, lower is
    more alike.
    """
    if a.shape != b.shape:
        raise InputError(f"samples of {a.size} and {b.size} intensities; take the same voxels of both scans")
    return float(np.abs(a - b).mean(dtype=np.float64)) if a.size else math.nan


def of_person(person: Person) -> list[dict]:
    """A row a pair of scanners and tissue."""
    rows = []
    for tissue, region in person.tissues.items():
        places = np.flatnonzero(region)
        ordered = {scanner: np.sort(image.ravel()[places]) for scanner, image in person.images.items()}
        rows += [
            {"scanner_a": a, "scanner_b": b, "tissue": tissue, "wasserstein": wasserstein_of_sorted(*pair)}
            for (a, b), pair in zip(
                itertools.combinations(ordered, 2), itertools.combinations(ordered.values(), 2), strict=True
            )
        ]
    return rows
