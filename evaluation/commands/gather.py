"""`gather`: the arms' parts joined into `RUN/metrics`."""

from __future__ import annotations

import argparse

from core.run_folder import RunFolder
from core.sheet import read_sheet
from evaluation.arms.gathering import gather
from evaluation.commands._run import add_bootstrap_options, add_run_argument

HELP = "join the arms' parts into metrics/*.tsv"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which arms and batches."""
    add_run_argument(parser)
    parser.add_argument("--arms", nargs="+", required=True, metavar="ARM", help="arms, in the tables' order")
    parser.add_argument("--volume-arms", nargs="*", default=[], metavar="ARM", help="those that give volumes alone")
    parser.add_argument(
        "--engines", nargs="*", default=[], metavar="ENGINE", help="segmentation engines beside the own"
    )
    parser.add_argument("--batches", nargs="+", metavar="BATCH", help="only these batches (default: all there are)")
    add_bootstrap_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Write `RUN/metrics/*.tsv`."""
    gather(
        arguments.run,
        read_sheet(RunFolder(arguments.run).sheet, check=False),
        arguments.arms,
        volume_arms=arguments.volume_arms,
        engines=arguments.engines,
        batches=arguments.batches,
        seed=arguments.seed,
        resamples=arguments.bootstrap,
    )
