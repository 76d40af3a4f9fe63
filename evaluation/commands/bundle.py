"""`bundle`: a finished run's results in one file, to be sent and merged with others'."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.commands._run import add_run_argument, print_paths
from evaluation.merging.bundle import write_bundle

HELP = "a finished run's results, configuration and fingerprints in one zip, without images, for `merge`"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run, and where the bundle goes."""
    add_run_argument(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.zip", help="to write")


def main(arguments: argparse.Namespace) -> None:
    """Write the bundle."""
    print_paths([write_bundle(arguments.run, arguments.out)])
