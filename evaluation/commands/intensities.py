"""`intensities`: an arm's range, by which its images are brought onto RAW's scale."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.errors import InputError
from evaluation.arms.intensities import Intensities, write_by_fold
from evaluation.arms.ranges import WHOLE, ArmImages, join_ranges, read_counts
from evaluation.commands._arm import add_arm_options, arm_of, read_study, run_arm_step

HELP = "an arm's 0.5th and 99.5th percentile over all its scans"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, and where to write."""
    add_arm_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument(
        "--by-fold",
        type=Path,
        nargs="+",
        metavar="TRAINING",
        help="a range a fold: of the images TRAINING/fold-1, ... or, where there are none, of the others' in "
        "--images; with --counts one folder a file of counts",
    )
    parser.add_argument(
        "--counts", type=Path, nargs="+", metavar="NPZ", help="join what `count-intensities` made of batches of people"
    )


def main(arguments: argparse.Namespace) -> None:
    """Write an arm's `Intensities`."""
    counts, training = arguments.counts or [], arguments.by_fold or []
    if training and len(training) != max(len(counts), 1):
        raise InputError(f"--by-fold: {len(training)} folders for {max(len(counts), 1)} batches; give one a batch")

    def work() -> None:
        study, chosen = read_study(arguments)
        if counts:
            places = [ArmImages(arm_of(arguments), study, arguments.images, folder) for folder in training or [None]]
            places *= 1 if training else len(counts)
            found = join_ranges([(place, *read_counts(path)) for place, path in zip(places, counts, strict=True)])
        else:
            found = ArmImages(arm_of(arguments), chosen, arguments.images, *training).ranges()
        write(arguments.out, found)

    run_arm_step(arguments, "intensities", work, [arguments.out])


def write(path: Path, ranges: dict[str, Intensities]) -> None:
    """Write an arm's range, or its ranges by fold."""
    if WHOLE in ranges:
        ranges[WHOLE].write(path)
    else:
        write_by_fold(path, ranges)
