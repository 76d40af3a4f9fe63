"""The parts of tables that an arm's steps write, a batch of subjects at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

SSIM_COLUMNS = ["method", "subject", "scanner_a", "scanner_b", "ssim", "ssim_common_scale", "pearson"]
DICE_COLUMNS = ["method", "subject", "scanner_a", "scanner_b", "tissue", "dice"]
VOLUME_COLUMNS = [
    "method",
    "subject",
    "scanner",
    "tissue",
    "volume_ml",
    "volume_ml_hard",
    "volume_ml_pve",
    "volume_ml_posterior",
    "volume_ml_pve_threshold",
    "engine",
    "rule",
]
TRUTH_PART_COLUMNS = ["method", "subject", "scanner", "tissue", "true_volume_ml", "dice_truth"]
TRUTH_COLUMNS = [
    "method",
    "subject",
    "scanner",
    "tissue",
    "true_volume_ml",
    "volume_error_ml",
    "volume_error_ml_hard",
    "volume_error_ml_pve",
    "dice_truth",
]
TRUTH_SIMILARITY_COLUMNS = [
    "method",
    "subject",
    "scanner",
    "ssim_truth",
    "ssim_truth_mean",
    "pearson_truth",
]
IDS = ("method", "subject", "scanner", "scanner_a", "scanner_b", "tissue")

PARTS = {
    "volumes": VOLUME_COLUMNS,
    "ssim": SSIM_COLUMNS,
    "dice": DICE_COLUMNS,
    "truth": TRUTH_PART_COLUMNS,
    "truth_similarity": TRUTH_SIMILARITY_COLUMNS,
}
"""The tables that an arm's steps write a batch of subjects at a time: `<name>-<batch>.tsv`."""

FURTHER = ("further", "json")

ARRAYS = ("arrays", "npz")
"""Beside them what the files of `evaluation.measures` give of a batch: rows by table, arrays by module and scan."""


def part_path(folder: Path, kind: tuple[str, str], batch: str) -> Path:
    """Where an arm's step puts a kind of part of a batch, such as `FURTHER`."""
    name, ending = kind
    return folder / f"{name}-{batch}.{ending}"


def join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns under each other; empty ones, whose columns have no type, left out."""
    filled = [table for table in tables if not table.empty] or tables[:1]
    return pd.concat(filled, ignore_index=True)
