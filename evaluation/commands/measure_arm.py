"""`measure-arm`: every measure of an arm's images and labels of some people."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.arms.measuring import PersonMeasures, measure_arm
from evaluation.arms.parts import ARRAYS, MEASURES, part_path
from evaluation.commands._arm import add_arm_options, add_range_options, arm_of, read_study, run_arm_step, with_ranges

HELP = "every measure of an arm's images and labels"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images and labels, and where to write."""
    add_arm_options(parser)
    add_range_options(parser)
    parser.add_argument("--segmentations", type=Path, required=True, help="folder of the arm's labels")
    parser.add_argument("--reference-segmentations", type=Path, required=True, help="folder of RAW's labels")
    parser.add_argument("--out", type=Path, required=True, help="folder for measures-<batch>.json and arrays")
    parser.add_argument("--batch", default="all", help="name of this batch of subjects (default: all)")


def main(arguments: argparse.Namespace) -> None:
    """Write the parts of an arm's measures."""

    def work() -> None:
        study, chosen = read_study(arguments)
        measures = PersonMeasures()
        for people, ranges in with_ranges(arguments, chosen):
            measure_arm(
                measures,
                study,
                people.subjects,
                arm=arm_of(arguments),
                images=arguments.images,
                segmentations=arguments.segmentations,
                reference_segmentations=arguments.reference_segmentations,
                **ranges,
            )
        measures.write(arguments.out, arguments.batch)

    parts = [part_path(arguments.out, kind, arguments.batch) for kind in (MEASURES, ARRAYS)]
    run_arm_step(arguments, "measure", work, parts)
