"""`resegment-arm`: an arm's volumes by further segmentation engines."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import write_table
from evaluation.arms.parts import join
from evaluation.arms.segmenting import resegment_arm
from evaluation.commands._arm import add_arm_options, add_range_options, arm_of, read_study, run_arm_step, with_ranges
from evaluation.commands._segmentation import add_rule_options

HELP = "volumes of an arm's images, mapped onto RAW's scale, by further segmentation engines"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, by which engines, and where to write."""
    add_arm_options(parser)
    add_range_options(parser)
    parser.add_argument("--engines", nargs="+", required=True, metavar="ENGINE", help="segmentation engines")
    add_rule_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="TSV of volumes to write")


def main(arguments: argparse.Namespace) -> None:
    """Write an arm's volumes by engine."""

    def work() -> None:
        _, chosen = read_study(arguments)
        parts = [
            resegment_arm(
                people,
                arm=arm_of(arguments),
                images=arguments.images,
                **ranges,
                engines=arguments.engines,
                rule=arguments.rule,
                threshold=arguments.threshold,
                threads=arguments.threads,
            )
            for people, ranges in with_ranges(arguments, chosen)
        ]
        write_table(arguments.out, join(parts))

    run_arm_step(arguments, "resegment", work, [arguments.out])
