"""`verdict`: whether any step of an arm, or of a scan, failed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.errors import InputError
from core.files import read_table
from evaluation.runs.status_table import failed_scans, failures

HELP = "exit with 1 if a step of any arm, or of a scan, failed"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which tables."""
    parser.add_argument("status", type=Path, metavar="STATUS", help="a run's status.tsv")
    parser.add_argument("quality", type=Path, nargs="?", metavar="QUALITY", help="its study/quality.tsv, if it has one")


def main(arguments: argparse.Namespace) -> int:
    """Say which arms and scans failed; 1 if any did."""
    sentences = failures(_rows(arguments.status, ["method", "step", "status", "reason"]))
    if arguments.quality is not None:
        sentences += failed_scans(_rows(arguments.quality, ["subject", "scanner", "status", "flags"]))
    for sentence in sentences:
        print(sentence)
    return 1 if sentences else 0


def _rows(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table with these columns; a table without rows, from which nothing failed, is refused."""
    table = read_table(path, columns)
    if table.empty:
        raise InputError(f"{path}: no rows, so that it doesn't say how anything ended; make it anew")
    return table
