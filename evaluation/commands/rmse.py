"""`rmse`: the RMSE of a table of volume differences."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.errors import InputError
from core.files import read_table
from evaluation.measures.volumes import RMSE_KEYS, rmse_table

HELP = "RMSE of volume differences, with its interval over subjects"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which table."""
    parser.add_argument("differences", type=Path, metavar="TSV", help="a table as metrics/volume_differences.tsv")


def main(arguments: argparse.Namespace) -> None:
    """Print the RMSE of a table of volume differences."""
    path = arguments.differences
    differences = read_table(path, ["subject", *RMSE_KEYS], numbers=["difference_ml"])
    if differences.empty:
        raise InputError(f"{path}: no rows; there are no differences to take an RMSE of")
    doubled = differences[differences.duplicated(["subject", *RMSE_KEYS])]
    if not doubled.empty:
        what = ", ".join(str(doubled.iloc[0][key]) for key in ("subject", *RMSE_KEYS))
        raise InputError(f"{path}: {what} stands there twice; keep one row of a subject")
    table = rmse_table(differences)
    print(table.to_csv(sep="\t", index=False, float_format="%.6g", na_rep="n/a", lineterminator="\n"), end="")
