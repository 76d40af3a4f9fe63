"""Whether a person is still to be recognized: what an arm that makes everyone alike takes away.

A scan is brought down to its means over cells of some 8 mm: fine enough for who it is, too coarse for
noise. Only cells that lie wholly in every scan's mask count, so that the outline of the brain, which
no method changes, tells nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evaluation.measures.interface import Measure, Measured, Person, Summary

IDENTIFICATION = "identification"
CELL_MM = 8.0
RANGE_PERCENTS = (0.5, 99.5)
PLACE = np.array([1 << 40, 1 << 20, 1])
"""What makes one number of a cell's place."""

TIE = 1e-6
"""Correlations nearer than this are equal: the same image, summed in another order."""

COLUMNS = [
    "method",
    "subject",
    "scanner_a",
    "scanner_b",
    "people",
    "identified",
    "identity_margin",
    "own_correlation",
    "other_correlation",
    "between_person_variance",
]
MEASURES = (
    Measure(
        name="identified",
        label="Person recognized",
        lowest=0.0,
        highest=1.0,
        better="higher",
        definition=(
            "Share of scans whose most correlated scan on another scanner is the same person's, of cell means of 8 mm"
            " inside all masks; a tie counts in part. A guess is right once in N people."
        ),
        reference="Finn et al. 2015",
        table=IDENTIFICATION,
        column="identified",
    ),
    Measure(
        name="identity_margin",
        label="Margin of recognition",
        lowest=-2.0,
        highest=2.0,
        better="higher",
        definition=(
            "A scan's correlation with the same person's on another scanner, minus that with the most correlated other "
            "person's there, of cell means of 8 mm inside all masks, both ways averaged. 0: another person is as alike;"
            " unlike the share recognized it goes on falling where everyone is still recognized."
        ),
        reference="Finn et al. 2015, for the correlations",
        table=IDENTIFICATION,
        column="identity_margin",
        summary=Summary(asks="kept"),
    ),
    Measure(
        name="between_person_variance",
        label="Between-person variance",
        unit="of a scan's range squared",
        lowest=-math.inf,
        highest=math.inf,
        better="higher",
        definition=(
            "Covariance over people of cell means (8 mm, each scan over its own range of intensities) on two scanners, "
            "averaged over cells and pairs of scanners: the variance that belongs to the person, whatever unit an arm "
            "has. 0: everyone is alike."
        ),
        reference="Shrout and Fleiss 1979, for the variance component",
        table=IDENTIFICATION,
        column="between_person_variance",
        summary=Summary(asks="kept"),
    ),
)


def cell_means(image: np.ndarray, mask: np.ndarray, origin: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Means (I, J, K) of an image (X, Y, Z) over cells of `size` voxels; NaN where a cell isn't all in the mask.

    The cells lie on the study's grid, in which `origin` is the image's first voxel; cells that begin
    before it are left out.
    """
    starts = [-first % edge for first, edge in zip(origin, size, strict=True)]
    counts = [max(0, (length - start) // edge) for length, start, edge in zip(image.shape, starts, size, strict=True)]
    box = tuple(slice(start, start + count * edge) for start, count, edge in zip(starts, counts, size, strict=True))
    blocks = [edge for count, edge in zip(counts, size, strict=True) for edge in (count, edge)]
    means, whole = (
        array[box].reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float64) for array in (image, mask.astype(np.float32))
    )
    return np.where(whole == 1, means, math.nan).astype(np.float32)


def arrays_of_person(person: Person) -> dict[str, np.ndarray]:
    """Each scan's cells as (C, 4): their places on the study's grid of cells, and their means over the scan's range.

    The range is from the 0.5th to the 99.5th percentile of the scan's own brain, so that no arm has more, or less,
    variance between people for the unit of its images.
    """
    size = [max(1, round(CELL_MM / edge)) for edge in person.voxel_sizes]
    first = [-(-start // edge) for start, edge in zip(person.origin, size, strict=True)]
    found = {}
    for scanner, image in person.images.items():
        low, high = np.percentile(image[person.masks[scanner]], RANGE_PERCENTS)
        span = np.float32(high - low) if high > low else np.float32(math.nan)
        means = cell_means(image, person.masks[scanner], person.origin, size) / span
        places = np.argwhere(np.isfinite(means))
        values = means[tuple(places.T)]
        found[scanner] = np.column_stack([places + first, values]).astype(np.float32)
    return found


def common_cells(cells: Mapping[tuple[str, str], np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """The means (C,) of the cells that every scan has, in one order; `cells` are as `arrays_of_person` gives them."""
    if not cells:
        return {}
    keys = {scan: rows[:, :3].astype(np.int64) @ PLACE for scan, rows in cells.items()}
    shared = functools.reduce(np.intersect1d, keys.values())
    found = {}
    for scan, rows in cells.items():
        order = np.argsort(keys[scan])
        chosen = order[np.searchsorted(keys[scan], shared, sorter=order)]
        found[scan] = rows[chosen, 3].astype(np.float64)
    return found


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlations (N, M) of rows of `a` (N, C) with rows of `b` (M, C); NaN for a constant row."""
    standard = []
    for rows in (a, b):
        centered = rows - rows.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(centered, axis=1, keepdims=True)
        standard.append(centered / np.where(lengths > 0, lengths, math.nan))
    return standard[0] @ standard[1].T


def identify(alike: np.ndarray) -> np.ndarray:
    """How far each person is recognized (N,), from likenesses (N, N) of people's scans (rows) to others' (columns).

    1 where a person's own (the diagonal) is the greatest, 1/k where k are equally great, else 0.
    """
    greatest = alike.max(axis=1, keepdims=True)
    tied = alike >= greatest - TIE
    return np.where(np.diagonal(tied), 1.0 / tied.sum(axis=1), 0.0)


def margins(alike: np.ndarray) -> np.ndarray:
    """Each person's likeness (N,) to itself minus the greatest to another, from likenesses (N, N), N > 1, as above."""
    others = np.where(np.eye(len(alike), dtype=bool), -math.inf, alike)
    return np.diagonal(alike) - others.max(axis=1)


def between_people(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Each person's share (N,) in the covariance over people of `a` and `b` (N, C), averaged over cells.

    Their mean is the unbiased covariance; means of scanners and what is independent on the two drop out.
    """
    people = len(a)
    products = (a - a.mean(axis=0)) * (b - b.mean(axis=0))
    return products.mean(axis=1) * people / (people - 1)


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """The table of identification: a row a person and pair of scanners, both ways averaged.

    `people` are those whom the pair's two scanners saw.
    """
    rows: list[dict] = []
    for arm in measured.arms:
        cells = common_cells(measured.arrays("identity", arm))
        for scanner_a, scanner_b in measured.study.pairs:
            people = [
                subject
                for subject in measured.study.subjects
                if (subject, scanner_a) in cells and (subject, scanner_b) in cells
            ]
            if len(people) < 2:
                continue
            a, b = (np.stack([cells[subject, scanner] for subject in people]) for scanner in (scanner_a, scanner_b))
            if a.shape[1] < 2:
                continue
            alike = correlations(a, b)
            own = np.diagonal(alike)
            others = (alike.sum(axis=0) + alike.sum(axis=1) - 2 * own) / (2 * (len(people) - 1))
            found = (identify(alike) + identify(alike.T)) / 2
            distances = (margins(alike) + margins(alike.T)) / 2
            shares = between_people(a, b)
            rows += [
                {
                    "method": arm,
                    "subject": subject,
                    "scanner_a": scanner_a,
                    "scanner_b": scanner_b,
                    "people": len(people),
                    "identified": found[place],
                    "identity_margin": distances[place],
                    "own_correlation": own[place],
                    "other_correlation": others[place],
                    "between_person_variance": shares[place],
                }
                for place, subject in enumerate(people)
            ]
    return {IDENTIFICATION: pd.DataFrame(rows, columns=COLUMNS)}
