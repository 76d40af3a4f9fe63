"""`rmse`: the RMSE of a table of volume differences."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import read_table
from evaluation.commands._run import add_bootstrap_options
from evaluation.measures.volumes import rmse_table

HELP = "RMSE of volume differences, with its interval over subjects"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which table, and how people are resampled."""
    parser.add_argument("differences", type=Path, metavar="TSV", help="a table as metrics/volume_differences.tsv")
    add_bootstrap_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Print the RMSE of a table of volume differences."""
    table = rmse_table(read_table(arguments.differences), seed=arguments.seed, resamples=arguments.bootstrap)
    print(table.to_csv(sep="\t", index=False, float_format="%.6g", na_rep="n/a", lineterminator="\n"), end="")
