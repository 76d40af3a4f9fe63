"""`judge`: what an arm gives of held-out people, segmented and measured, for a learning curve."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.sheet import read_sheet
from evaluation.arms.judging import judge_images, judge_volumes
from evaluation.commands._arm import add_record_options, run_arm_step
from evaluation.commands._segmentation import add_segmentation_options

HELP = "segment and measure what an arm gives of held-out people"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which people, of which arm, by which segmentation, and where to write."""
    parser.add_argument("--scans", type=Path, required=True, help="a sheet with a column fold")
    parser.add_argument("--fold", required=True, help="the fold of the people who are judged")
    parser.add_argument("--arm", required=True, help="what to call it")
    parser.add_argument("--gives", choices=("images", "volumes"), required=True, help="what the arm gives")
    parser.add_argument("--harmonized", type=Path, required=True, help="folder of its images, or tables of volumes")
    parser.add_argument("--raw-images", type=Path, required=True, help="folder of RAW's images")
    parser.add_argument("--raw-segmentations", type=Path, required=True, help="folder of RAW's labels")
    add_segmentation_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for volumes, measures and arrays")
    add_record_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Write the parts of the people of a fold."""

    def work() -> None:
        study = read_sheet(arguments.scans, check=False)
        if arguments.gives == "volumes":
            judge_volumes(study, arguments.fold, arguments.harmonized, arguments.out)
            return
        judge_images(
            study,
            arguments.fold,
            arm=arguments.arm,
            images=arguments.harmonized,
            raw_images=arguments.raw_images,
            raw_segmentations=arguments.raw_segmentations,
            engine=arguments.engine,
            rule=arguments.rule,
            threshold=arguments.threshold,
            threads=arguments.threads,
            out=arguments.out,
        )

    run_arm_step(arguments, "judge", work, [])
    arguments.out.mkdir(parents=True, exist_ok=True)
