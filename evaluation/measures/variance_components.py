"""Where the variance of volumes comes from: people, scanners, people on scanners, and what a rescan differs by.

Without rescans (table `rescan_volumes`, of the sessions after a person's first on a scanner), person x scanner holds
what a rescan would differ by, too.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from core.names import TISSUES
from evaluation import volume_rules
from evaluation.analysis_of_variance import components, rescan_variance
from evaluation.measures.interface import Measure, Measured

TABLE = "variance_components"
RESCANS = "rescan_volumes"
COMPONENTS = ("person", "scanner", "person x scanner", "rescan")
COLUMNS = [
    "method",
    "tissue",
    "rule",
    "component",
    "n",
    "scanners",
    "rescans",
    "variance_ml2",
    "sd_ml",
    "share",
    "note",
]
NEGATIVE = "negative estimate"
UNSPLIT = "with what a rescan would differ by"

MEASURES = (
    Measure(
        name="scanner_variance_share",
        label="Share of variance from scanners",
        lowest=0.0,
        highest=1.0,
        better="lower",
        definition=(
            "Share that scanners, and people on scanners, have of the variance of a tissue's volumes, by variance "
            "components of two random ways."
        ),
        reference="Searle, Casella and McCulloch 1992",
    ),
)


def complete(volumes: pd.DataFrame, column: str) -> np.ndarray:
    """One method's and tissue's volumes (people, scanners) of the people seen by every scanner."""
    return volumes.pivot(index="subject", columns="scanner", values=column).dropna().to_numpy(dtype=float)


def cells(first: pd.DataFrame, further: pd.DataFrame, column: str) -> list[np.ndarray]:
    """One method's and tissue's volumes (sessions,) of each person on each scanner that were scanned there again."""
    again = set(zip(further["subject"], further["scanner"], strict=True))
    both = pd.concat([first, further])[["subject", "scanner", column]].dropna()
    groups = both.groupby(["subject", "scanner"], sort=False)[column]
    return [values.to_numpy(dtype=float) for cell, values in groups if cell in again]


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """A row a method, tissue and component, by the main rule; of the people seen by every scanner.

    A negative estimate is 0, which `note` says; shares are of the sum of what is left. n people, and
    `rescans` of people on scanners.
    """
    volumes = measured.tables["volumes"]
    main = volume_rules.main_rule(volumes, "volume_ml")
    column = f"volume_ml{main}"
    rescans = measured.tables.get(RESCANS, pd.DataFrame(columns=["method", "tissue", "subject", "scanner", column]))
    rows: list[dict[str, object]] = []
    for arm in measured.arms:
        for tissue in TISSUES:
            first, further = (
                table[(table["method"] == arm) & (table["tissue"] == tissue)] for table in (volumes, rescans)
            )
            values = complete(first, column)
            if min(values.shape) < 2:
                continue
            again = cells(first, further, column)
            for row in rows_of(values, again):
                counts = {
                    "n": len(values),
                    "scanners": values.shape[1],
                    "rescans": sum(len(cell) - 1 for cell in again),
                }
                rows.append({"method": arm, "tissue": tissue, "rule": volume_rules.NAMES[main], **counts, **row})
    return {TABLE: pd.DataFrame(rows, columns=COLUMNS)}


def rows_of(values: np.ndarray, again: list[np.ndarray]) -> list[dict[str, object]]:
    """The components of volumes (people, scanners), and of `cells`, as rows: component, variance, share, note."""
    found = components(values, rescan_variance(again))
    estimates = (found.person, found.scanner, found.interaction, found.rescan)
    known = {name: float(value) for name, value in zip(COMPONENTS, estimates, strict=True) if value is not None}
    whole = sum(max(value, 0.0) for value in known.values())
    rows: list[dict[str, object]] = []
    for name, value in known.items():
        notes = [NEGATIVE] if value < 0 else []
        if name == "person x scanner" and found.rescan is None:
            notes.append(UNSPLIT)
        variance = max(value, 0.0)
        share = variance / whole if whole > 0 else math.nan
        told = {"variance_ml2": variance, "sd_ml": math.sqrt(variance), "share": share, "note": "; ".join(notes)}
        rows.append({"component": name, **told})
    return rows
