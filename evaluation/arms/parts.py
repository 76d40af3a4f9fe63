"""The parts that an arm's steps write, a batch of people at a time: volumes, rows by table, arrays by scan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InputError
from core.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

VOLUMES = ("volumes", "tsv")
"""The table that the segmentation makes."""

REGIONS = ("regions", "tsv")
"""The same volumes in each region of the brain."""

FURTHER_ENGINES = ("engines", "tsv")
"""Volumes by segmentation engines beside the run's own."""

MEASURES = ("measures", "json")
"""What the files of `evaluation.measures` give of a batch: rows by table."""

ARRAYS = ("arrays", "npz")
"""And arrays, by module and scan."""

OF_A_SCAN = ["method", "subject", "scanner", "session", "rescan", "time"]
BY_RULE = ["volume_ml", "volume_ml_hard", "volume_ml_pve", "volume_ml_posterior", "volume_ml_pve_threshold"]
VOLUME_COLUMNS = [*OF_A_SCAN, "tissue", *BY_RULE, "engine", "rule", "reach"]
ENGINE_COLUMNS = [*VOLUME_COLUMNS, "dice_truth"]
REGION_COLUMNS = [*OF_A_SCAN, "region", "tissue", *BY_RULE]


def part_path(folder: Path, kind: tuple[str, str], batch: str) -> Path:
    """Where an arm's step puts a kind of part of a batch, such as `VOLUMES`."""
    name, ending = kind
    return folder / f"{name}-{batch}.{ending}"


def part_files(run: Path, kind: tuple[str, str], arm: str, batches: Sequence[str] | None) -> list[Path]:
    """An arm's parts of a kind that hold anything; without `batches`, all that are there.

    Raises `InputError` where a batch's isn't there.
    """
    folder = RunFolder(run).parts(arm)
    if batches is None:
        files = sorted(folder.glob(part_path(folder, kind, "*").name))
    else:
        files = [part_path(folder, kind, batch) for batch in batches]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: no such part; run the arm's steps for that batch")
    return [path for path in files if path.stat().st_size]


def join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns under each other; empty ones, whose columns have no type, left out."""
    import pandas as pd

    filled = [table for table in tables if not table.empty] or tables[:1]
    return pd.concat(filled, ignore_index=True)
