"""`protocols`: a study's runs, fitted on everyone and held out, in one table."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.commands._run import print_paths
from evaluation.tables.protocols import write_protocols

HELP = "one table of a study's runs, fitted on everyone and held out"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which runs."""
    parser.add_argument("runs", type=Path, nargs=2, metavar="RUN", help="one of each protocol")


def main(arguments: argparse.Namespace) -> None:
    """Write `RUN/tables/table_protocols.*` of the held-out run."""
    print_paths(write_protocols(arguments.runs))
