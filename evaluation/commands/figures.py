"""`figures`: the paper's figures and those beyond it, from a run's files."""

from __future__ import annotations

import argparse

from evaluation.commands._run import add_run_argument, print_paths
from evaluation.figures import draw

HELP = "the paper's figures, from a run's files"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    add_run_argument(parser)
    parser.add_argument("--threads", type=int, default=1, help="figures drawn at a time (default: 1)")


def main(arguments: argparse.Namespace) -> None:
    """Draw `RUN/figures`."""
    print_paths(draw(arguments.run, threads=arguments.threads))
