"""`status`: how every arm's steps ended, in one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import write_table
from evaluation.runs.status_table import join_status

HELP = "join the records of how the arms' steps ended"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which records."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a run's folder of records, RUN/status")
    parser.add_argument("--arms", nargs="+", required=True, metavar="ARM", help="arms, in order")
    parser.add_argument("--out", type=Path, required=True, help="TSV to write")


def main(arguments: argparse.Namespace) -> None:
    """Write `RUN/status.tsv`."""
    write_table(arguments.out, join_status(arguments.folder, arguments.arms))
