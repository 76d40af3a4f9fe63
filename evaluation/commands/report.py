"""`report`: the page with everything, from a run's files."""

from __future__ import annotations

import argparse

from evaluation.commands._run import add_run_argument, print_paths
from evaluation.report import render

HELP = "the page with everything, from a run's files"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    add_run_argument(parser)


def main(arguments: argparse.Namespace) -> None:
    """Write `RUN/report.html`."""
    print_paths([render(arguments.run)])
