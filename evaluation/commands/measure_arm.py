"""`measure-arm`: an arm's similarity, overlap, nearness to the truth, and every further measure of a person."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import write_table
from core.folds import by_fold
from evaluation.arms.intensities import Intensities
from evaluation.arms.measuring import PersonMeasures, measure_arm
from evaluation.arms.parts import ARRAYS, FURTHER, PARTS, join, part_path
from evaluation.commands._arm import add_arm_options, add_range_options, arm_of, read_study, run_arm_step

HELP = "an arm's similarity, overlap and nearness to the truth"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images and labels, and where to write."""
    add_arm_options(parser)
    add_range_options(parser)
    parser.add_argument("--segmentations", type=Path, required=True, help="folder of the arm's labels")
    parser.add_argument("--reference-segmentations", type=Path, required=True, help="folder of RAW's labels")
    parser.add_argument("--out", type=Path, required=True, help="folder for ssim-, dice-, truth-... <batch>")
    parser.add_argument("--batch", default="all", help="name of this batch of subjects (default: all)")


def main(arguments: argparse.Namespace) -> None:
    """Write the parts of an arm's measures."""
    tables = [name for name in PARTS if name != "volumes"]
    files = {name: part_path(arguments.out, (name, "tsv"), arguments.batch) for name in tables}
    others = [part_path(arguments.out, kind, arguments.batch) for kind in (FURTHER, ARRAYS)]

    def work() -> None:
        study, chosen = read_study(arguments)
        parts = [
            measure_arm(
                study,
                people.subjects,
                method=arm_of(arguments),
                images=arguments.images,
                segmentations=arguments.segmentations,
                reference_segmentations=arguments.reference_segmentations,
                intensities=Intensities.read(arguments.intensities, fold),
                reference=Intensities.read(arguments.reference, fold),
            )
            for fold, people in by_fold(chosen)
        ]
        for name, file in files.items():
            write_table(file, join([tables[name] for tables, _ in parts]))
        further = PersonMeasures()
        for _, measured in parts:
            further.extend(measured)
        further.write(arguments.out, arguments.batch)

    run_arm_step(arguments, "measures", work, [*files.values(), *others])
