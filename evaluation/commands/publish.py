"""`publish`: a finished run as a page of Markdown, small enough to be kept beside code."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.commands._run import add_run_argument, print_paths
from evaluation.report.page import publish

HELP = "a finished run as a page of Markdown with its tables and pictures, as in docs/results"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run, and where the page goes."""
    add_run_argument(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="of the page, such as docs/results/demo"
    )


def main(arguments: argparse.Namespace) -> None:
    """Write `FOLDER/README.md` and what it shows."""
    print_paths([publish(arguments.run, arguments.out)])
