"""`figures`: the paper's figures and those beyond it, from a run's files."""

from __future__ import annotations

import argparse

from evaluation.commands._run import add_run_argument, print_paths
from evaluation.figures import draw

HELP = "the paper's figures, from a run's files"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run, and what for."""
    add_run_argument(parser)
    told = "draw into RUN/figures/paper: PDF and PNG at 3.3 and 7 inches, the captions as text"
    parser.add_argument("--paper", action="store_true", help=told)
    parser.add_argument("--threads", type=int, default=1, help="figures drawn at a time (default: 1)")


def main(arguments: argparse.Namespace) -> None:
    """Draw `RUN/figures`, or `RUN/figures/paper`."""
    print_paths(draw(arguments.run, paper=arguments.paper, threads=arguments.threads))
