"""`gather`: part sheets into one."""

from __future__ import annotations

import argparse
from pathlib import Path

from studies.part_sheets import gather

HELP = "join part sheets into one sheet"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which parts, where to write, and how people are divided."""
    parser.add_argument("--parts", required=True, nargs="+", type=Path, help="part sheets, in order")
    parser.add_argument("--out", required=True, type=Path, help="the sheet to write")
    parser.add_argument("--folds", type=int, help="divide the people into so many folds (column fold)")
    parser.add_argument("--stratify", metavar="COLUMN", help="a covariate that the folds share alike")
    parser.add_argument("--leave-out", metavar="SCANNER", help="mark the scanner that no fit is to see (left_out)")
    parser.add_argument("--seed", type=int, default=0, help="of the division into folds (default: 0)")


def main(arguments: argparse.Namespace) -> None:
    """Join part sheets, and divide their people where that is asked for."""
    gather(
        arguments.parts,
        arguments.out,
        fold_count=arguments.folds,
        seed=arguments.seed,
        stratify=arguments.stratify,
        without=arguments.leave_out,
    )
