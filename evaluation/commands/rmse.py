"""`rmse`: the RMSE of a table of volume differences."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import read_table
from evaluation.measures.volumes import rmse_table

HELP = "RMSE of volume differences, with its interval over subjects"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which table."""
    parser.add_argument("differences", type=Path, metavar="TSV", help="a table as metrics/volume_differences.tsv")


def main(arguments: argparse.Namespace) -> None:
    """Print the RMSE of a table of volume differences."""
    table = rmse_table(read_table(arguments.differences))
    print(table.to_csv(sep="\t", index=False, float_format="%.6g", na_rep="n/a", lineterminator="\n"), end="")
