"""`report`: the page with everything, from a run's files, and what a paper says of the run."""

from __future__ import annotations

import argparse

from evaluation.commands._run import add_run_argument, print_paths
from evaluation.report import render
from evaluation.report.methods_text import write_methods
from evaluation.runs.finished_run import read_run

HELP = "the page with everything, from a run's files, and what a paper says of the run"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    add_run_argument(parser)


def main(arguments: argparse.Namespace) -> None:
    """Write `RUN/report.html`, `RUN/methods.md` and `RUN/references.bib`."""
    written = write_methods(read_run(arguments.run))
    print_paths([render(arguments.run), *written])
