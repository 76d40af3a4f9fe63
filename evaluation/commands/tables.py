"""`tables`: the paper's tables and those beyond it, from a run's files."""

from __future__ import annotations

import argparse

from evaluation.commands._run import add_run_argument, print_paths
from evaluation.tables import draw

HELP = "the paper's tables, from a run's files"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    add_run_argument(parser)


def main(arguments: argparse.Namespace) -> None:
    """Write `RUN/tables`."""
    print_paths(draw(arguments.run))
