"""`segment-arm`: an arm's labels and volumes."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import write_table
from evaluation.arms.parts import join
from evaluation.arms.segmenting import segment_arm
from evaluation.commands._arm import add_arm_options, add_range_options, arm_of, read_study, run_arm_step, with_ranges
from evaluation.commands._segmentation import add_segmentation_options

HELP = "segment an arm's images, mapped onto RAW's scale"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, by which segmentation, and where to write."""
    add_arm_options(parser)
    add_range_options(parser)
    add_segmentation_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the labels")
    parser.add_argument("--hard", action="store_true", help="write each voxel's most probable tissue too")
    parser.add_argument("--volumes", type=Path, required=True, help="TSV of volumes to write")
    parser.add_argument("--regions", type=Path, help="TSV of volumes by region to write")


def main(arguments: argparse.Namespace) -> None:
    """Write an arm's labels and volumes."""

    def work() -> None:
        _, chosen = read_study(arguments)
        parts = [
            segment_arm(
                people,
                arm=arm_of(arguments),
                images=arguments.images,
                **ranges,
                engine=arguments.engine,
                rule=arguments.rule,
                threshold=arguments.threshold,
                threads=arguments.threads,
                out=arguments.out,
                hard=arguments.hard,
            )
            for people, ranges in with_ranges(arguments, chosen)
        ]
        for path, tables in zip((arguments.volumes, arguments.regions), zip(*parts, strict=True), strict=True):
            if path is not None:
                write_table(path, join(tables))

    run_arm_step(arguments, "segment", work, [path for path in (arguments.volumes, arguments.regions) if path])
