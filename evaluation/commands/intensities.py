"""`intensities`: an arm's range, by which its images are brought onto RAW's scale."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.arms.intensities import write_by_fold
from evaluation.arms.ranges import arm_intensities, fold_intensities
from evaluation.commands._arm import add_arm_options, arm_of, read_study, run_arm_step

HELP = "an arm's 0.5th and 99.5th percentile over all its scans"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, and where to write."""
    add_arm_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument(
        "--by-fold",
        type=Path,
        metavar="TRAINING",
        help="a range a fold: of the images TRAINING/fold-1, ... or, where there are none, of the others' in --images",
    )


def main(arguments: argparse.Namespace) -> None:
    """Write an arm's `Intensities`."""

    def work() -> None:
        _, chosen = read_study(arguments)
        if arguments.by_fold is None:
            arm_intensities(arm_of(arguments), chosen, arguments.images).write(arguments.out)
        else:
            found = fold_intensities(arm_of(arguments), chosen, arguments.images, arguments.by_fold)
            write_by_fold(arguments.out, found)

    run_arm_step(arguments, "intensities", work, [arguments.out])
