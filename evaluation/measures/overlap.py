"""How far two segmentations agree voxel by voxel."""

from __future__ import annotations

import itertools

import numpy as np

from core.errors import InputError
from core.names import TISSUES
from evaluation.measures.interface import Measure, Person, Summary

TABLE = "dice"
PAIRS = True
MEASURES = (
    Measure(
        name="dice",
        label="Dice",
        lowest=0.0,
        highest=1.0,
        better="higher",
        definition="2|A and B|/(|A| + |B|) of a tissue's labels on scanners a and b; n/a where both are empty.",
        reference="Dice 1945",
        table=TABLE,
        column="dice",
        by_tissue=True,
        tested=True,
        summary=Summary(asks="removed"),
    ),
)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient 2|A and B|/(|A| + |B|) of two boolean arrays (Dice 1945).

    Range 0..1, higher is better. NaN where both are empty: nothing was found, which is no overlap.
    Raises `InputError` for shapes that differ.
    """
    if a.shape != b.shape:
        raise InputError(f"labels of shapes {a.shape} and {b.shape}; bring them onto one grid")
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2.0 * np.count_nonzero(a & b) / total if total else float("nan")


def dice_by_tissue(labels_a: np.ndarray, labels_b: np.ndarray) -> dict[str, float]:
    """Dice of each tissue of two label images (X, Y, Z): 0 none, 1 CSF, 2 GM, 3 WM."""
    return {tissue: dice(labels_a == label, labels_b == label) for label, tissue in enumerate(TISSUES, start=1)}


def of_person(person: Person) -> list[dict]:
    """A row a pair of scanners and tissue."""
    return [
        {"scanner_a": a, "scanner_b": b, "tissue": tissue, "dice": value}
        for a, b in itertools.combinations(person.labels, 2)
        for tissue, value in dice_by_tissue(person.labels[a], person.labels[b]).items()
    ]
