"""What the steps of an arm share: their options, their record, and the people that they are about."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from core.folds import by_fold
from core.jobs.record import run_step
from core.sheet import read_sheet
from core.study import Study
from evaluation.arms.intensities import Intensities


def add_arm_options(parser: argparse.ArgumentParser) -> None:
    """Which arm and people, and how the step is recorded."""
    parser.add_argument("--scans", type=Path, required=True, help="the study's sheet")
    parser.add_argument("--subjects", nargs="+", metavar="SUBJECT", help="only these (default: all)")
    parser.add_argument("--arm", help="the arm's id (default: the name of the folder of images)")
    parser.add_argument("--images", type=Path, required=True, help="folder of the arm's images")
    add_record_options(parser)


def add_record_options(parser: argparse.ArgumentParser) -> None:
    """How the step is recorded."""
    parser.add_argument("--status", type=Path, help="JSON in which to record how the step ended")
    parser.add_argument("--on-failure", choices=("stop", "record"), default="stop", help="default: stop")
    parser.add_argument("--minutes", type=float, default=0, help="with --status: fail after this long (0: never)")
    parser.add_argument(
        "--requires", type=Path, nargs="*", default=[], metavar="STATUS", help="status files of earlier steps"
    )


def add_range_options(parser: argparse.ArgumentParser) -> None:
    """By which ranges the arm's images are brought onto RAW's scale."""
    parser.add_argument("--intensities", type=Path, required=True, help="the arm's intensities (JSON)")
    parser.add_argument("--reference", type=Path, required=True, help="RAW's intensities (JSON)")


def with_ranges(arguments: argparse.Namespace, chosen: Study) -> Iterator[tuple[Study, dict[str, Intensities]]]:
    """The people of each fold (all of them without folds), with the arm's range and RAW's there."""
    for fold, people in by_fold(chosen):
        yield people, {name: Intensities.read(getattr(arguments, name), fold) for name in ("intensities", "reference")}


def arm_of(arguments: argparse.Namespace) -> str:
    """The arm's id."""
    return arguments.arm or arguments.images.resolve().name


def run_arm_step(
    arguments: argparse.Namespace, step: str, work: Callable[[], None], placeholders: Sequence[Path]
) -> None:
    """Do an arm's step and record how it ended, see `core.jobs.record.run_step`."""
    run_step(
        work,
        status_file=arguments.status,
        method=arm_of(arguments),
        step=step,
        on_failure=arguments.on_failure,
        minutes=arguments.minutes,
        requires=arguments.requires,
        placeholders=placeholders,
    )


def read_study(arguments: argparse.Namespace) -> tuple[Study, Study]:
    """The whole study of the sheet, its images unread, and the part of it that the step is about."""
    study = read_sheet(arguments.scans, check=False)
    return study, study if arguments.subjects is None else study.select(arguments.subjects)
