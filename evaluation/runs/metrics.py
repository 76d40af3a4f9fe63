"""A run's tables of numbers, by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from core.files import read_table
from core.run_folder import RunFolder


def read_metric(run: Path, name: str) -> pd.DataFrame | None:
    """The table `RUN/metrics/<name>.tsv`; None where the run has none, or an empty file that stands for none."""
    path = RunFolder(run).metric(name)
    return read_table(path) if path.is_file() and path.stat().st_size else None
