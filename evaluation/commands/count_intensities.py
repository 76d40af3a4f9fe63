"""`count-intensities`: what the images of a batch of people add to an arm's range."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.arms.ranges import ArmImages, write_counts
from evaluation.commands._arm import add_arm_options, arm_of, read_study, run_arm_step

HELP = "what some people's images of an arm add to its range, for `intensities --counts`"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, and where to write."""
    add_arm_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="NPZ to write")
    parser.add_argument(
        "--by-fold",
        type=Path,
        metavar="TRAINING",
        help="counts a fold: of the images TRAINING/fold-1, ... or, where there are none, of the others' in --images",
    )


def main(arguments: argparse.Namespace) -> None:
    """Write counts of intensities."""

    def work() -> None:
        study, chosen = read_study(arguments)
        images = ArmImages(arm_of(arguments), study, arguments.images, arguments.by_fold)
        write_counts(arguments.out, chosen.subjects, images.counts(chosen.subjects))

    run_arm_step(arguments, "intensities", work, [arguments.out])
