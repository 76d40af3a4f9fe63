"""How near an arm's segmentation comes to the true anatomy, which a phantom or a simulated scanner has.

Volumes and labels have no scale, so every arm is compared as it is.
"""

from __future__ import annotations

import math

import pandas as pd

from core.files import as_written
from evaluation.measures.interface import Measure, Measured, Person, Summary
from evaluation.measures.overlap import dice_by_tissue

TABLE = "truth"
COLUMNS = ("scanner", "tissue", "true_volume_ml", "dice_truth")
RULES = ("", "_hard", "_pve")
"""Endings of the columns of volumes: by the run's rule, by hard label, by partial volumes."""

MEASURES = (
    Measure(
        name="volume_error",
        label="Absolute error of volumes",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition="|V - V_true|, V the sum of partial volumes, V_true that of the true tissue fractions.",
    ),
    Measure(
        name="dice_truth",
        label="Dice with the true labels",
        lowest=0.0,
        highest=1.0,
        better="higher",
        definition="Dice of a tissue's labels with the true ones.",
        reference="Dice 1945",
        table=TABLE,
        column="dice_truth",
        summary=Summary(asks="nearer"),
    ),
)


def of_person(person: Person) -> list[dict]:
    """A row a scan and tissue, of the scans of which the anatomy is known."""
    rows = []
    for scanner, truth in person.truth.items():
        if truth.labels is None or truth.volumes_ml is None:
            continue
        overlap = dice_by_tissue(person.labels[scanner], truth.labels)
        rows += [
            # as the tables keep it, so that the error is the difference of two columns
            {"scanner": scanner, "tissue": tissue, "true_volume_ml": as_written(true), "dice_truth": overlap[tissue]}
            for tissue, true in truth.volumes_ml.items()
        ]
    return rows


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Signed errors of the volumes by each rule (estimate minus truth, mL), beside Dice with the true labels.

    Arms that give volumes alone have the errors, and no Dice.
    """
    keys = ["method", "subject", "scanner", "tissue"]
    of_images, volumes = measured.tables[TABLE], measured.tables["volumes"]
    known = of_images[[*keys[1:], "true_volume_ml"]].drop_duplicates(keys[1:])
    others = volumes.loc[~volumes["method"].isin(of_images["method"]), keys].merge(known, on=keys[1:])
    rows = of_images if others.empty else pd.concat([of_images, others], ignore_index=True)
    joined = measured.in_order(rows).merge(volumes, on=keys, how="left", validate="one_to_one")
    errors = []
    for ending in RULES:
        errors.append(f"volume_error_ml{ending}")
        joined[errors[-1]] = joined[f"volume_ml{ending}"] - joined["true_volume_ml"]
    return {TABLE: joined[[*keys, "true_volume_ml", *errors, "dice_truth"]]}
