"""Tissue volumes, how they differ between scanners, and how far by root mean square.

All volumes are those in the study's common space; no Jacobian of a registration enters them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.names import TISSUES
from evaluation import intervals, volume_rules
from evaluation.measures.interface import Measure, Measured, Summary
from evaluation.scan_pairs import side_by_side

RMSE_KEYS = ["method", "scanner_a", "scanner_b", "tissue"]
"""The columns that say of which subjects' differences an RMSE is."""

MEASURES = (
    Measure(
        name="volume_difference",
        label="Absolute difference of volumes",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition="|V_a - V_b| of a tissue's volumes on scanners a and b, V by the run's rule, as in the paper.",
        table="volume_differences",
        column="absolute_difference_ml",
        by_tissue=True,
        tested=True,
    ),
    Measure(
        name="volume_difference_pve",
        label="Absolute difference of volumes, partial-volume sum",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition="|V_a - V_b| of a tissue's volumes on scanners a and b, V the sum of partial volumes.",
        table="volume_differences",
        column="absolute_difference_ml_pve",
        by_tissue=True,
        tested=True,
        summary=Summary(asks="removed"),
    ),
    Measure(
        name="volume_difference_hard",
        label="Absolute difference of volumes, hard label",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition="|V_a - V_b| of a tissue's volumes on scanners a and b, V by the most probable class.",
        table="volume_differences",
        column="absolute_difference_ml_hard",
        by_tissue=True,
        tested=True,
    ),
    Measure(
        name="rmse",
        label="RMSE of volumes",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition="Square root of the mean over subjects of (V_a - V_b)^2.",
    ),
)


def label_volumes(labels: np.ndarray, voxel_volume_ml: float) -> dict[str, float]:
    """Volume of each tissue in mL: voxels of its label (1 CSF, 2 GM, 3 WM) x the voxel's volume."""
    counts = np.bincount(labels.ravel(), minlength=len(TISSUES) + 1)
    return {tissue: float(counts[label] * voxel_volume_ml) for label, tissue in enumerate(TISSUES, start=1)}


def fraction_volumes(fractions: np.ndarray, voxel_volume_ml: float) -> dict[str, float]:
    """Volume of each tissue in mL from fractions (X, Y, Z, 3): their sum x the voxel's volume."""
    sums = fractions.reshape(-1, len(TISSUES)).sum(axis=0, dtype=np.float64)
    return {tissue: float(total * voxel_volume_ml) for tissue, total in zip(TISSUES, sums, strict=True)}


def volume_differences(volumes: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Differences of volumes between scanners, a row a subject, pair and tissue.

    `volumes` has method, subject, scanner, tissue and volume_ml, and may have it by further rules
    (`volume_rules.ENDINGS`); the result method, subject, scanner_a, scanner_b, tissue, and by each rule
    difference_ml (a - b) and absolute_difference_ml. A subject without one of a pair's scans has no row for it.
    """
    endings = [ending for ending in volume_rules.ENDINGS if f"volume_ml{ending}" in volumes]
    values = [f"volume_ml{ending}" for ending in endings]
    found = side_by_side(volumes[["method", "subject", "scanner", "tissue", *values]], values, pairs)
    columns = ["method", "subject", "scanner_a", "scanner_b", "tissue"]
    for ending in endings:
        found[f"difference_ml{ending}"] = found[f"volume_ml{ending}_a"] - found[f"volume_ml{ending}_b"]
        found[f"absolute_difference_ml{ending}"] = found[f"difference_ml{ending}"].abs()
        columns += [f"difference_ml{ending}", f"absolute_difference_ml{ending}"]
    return found[columns]


def rmse(differences: np.ndarray) -> np.ndarray:
    """Root mean square of paired differences (..., N), in their unit: sqrt(mean d^2); lower is better.

    With the mean m and SD s (ddof 1) of the absolute differences it is sqrt(m^2 + s^2 (n-1)/n).
    """
    return np.sqrt(np.mean(np.square(differences), axis=-1))


def rmse_table(differences: pd.DataFrame) -> pd.DataFrame:
    """RMSE of each method, pair and tissue, with its 95 % interval over subjects (`intervals.of_positive`) and n.

    `differences` is what `volume_differences` gives; groups come in the order they first appear.
    """
    rows = []
    for key, group in differences.groupby(RMSE_KEYS, sort=False):
        values = group["difference_ml"].to_numpy(dtype=float)
        values = np.sort(values[np.isfinite(values)])
        low, high = intervals.of_positive(rmse, values)
        rows.append((*key, float(rmse(values)) if len(values) else float("nan"), float(low), float(high), len(values)))
    return pd.DataFrame(rows, columns=[*RMSE_KEYS, "rmse_ml", "ci_low", "ci_high", "n"])


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Differences of volumes, and their root mean square."""
    differences = measured.in_order(volume_differences(measured.tables["volumes"], measured.study.pairs))
    return {"volume_differences": differences, "rmse": measured.in_order(rmse_table(differences))}
