"""What the verbs about a BIDS dataset share: which of its images, and a preview."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from core.errors import InputError
from core.jobs.command import progress
from core.options import make
from studies.bids.checking import check_image
from studies.bids.images import read_images, read_t2_images
from studies.bids.options import SCANNER_WAYS, BidsOptions, FollowUp, Repeats
from studies.bids.preview import describe, describe_ways
from studies.preprocessing.arrays import reorient
from studies.preprocessing.brain import way_of
from studies.preprocessing.options import Brain, PreprocessOptions


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """Which images of a dataset, see `studies.bids.options.BidsOptions`."""
    usual = FollowUp().after
    parser.add_argument("dataset", help="the folder with dataset_description.json and the sub-* folders")
    parser.add_argument("--scanner", help=f"what tells scanners apart: {SCANNER_WAYS} (default: what tells the most)")
    parser.add_argument("--scanners", nargs="+", metavar="VALUE[=NAME]", help="the values to use, and names for them")
    parser.add_argument("--subjects", nargs="+", metavar="LABEL", help="only these, without sub-")
    parser.add_argument("--select", nargs="+", metavar="ENTITY=VALUE", help="only images whose name says so: run=1")
    parser.add_argument(
        "--repeats",
        choices=get_args(Repeats),
        default="refuse",
        help="several images of one subject and scanner: refused (default), one chosen, or a scan and its rescans",
    )
    parser.add_argument(
        "--follow-ups-after",
        type=float,
        metavar="YEARS",
        help=f"sessions so long after the person's first are follow-ups (by default none is; {usual:g} is usual)",
    )
    parser.add_argument(
        "--time",
        metavar="COLUMN",
        help="with it, what says when sessions were: acq_time (default), or years in sessions:COLUMN or scans:COLUMN",
    )
    parser.add_argument("--t2", action="store_true", help="the T2w image of the same session beside each T1w image")


def dataset_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that the command line gives of a dataset."""
    scanners = [text.partition("=") for text in arguments.scanners or ()]
    select: dict[str, list[str | None]] = {}
    for text in arguments.select or ():
        entity, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--select {text}: give ENTITY=VALUE, such as run=1")
        select.setdefault(entity, []).append(None if value == "null" else value)
    time = {"time": arguments.time} if arguments.time else {}
    if time and arguments.follow_ups_after is None:
        raise InputError(f"--time {arguments.time}: says when follow-ups were; give --follow-ups-after, too")
    return {
        "dataset": arguments.dataset,
        "scanner": arguments.scanner,
        "scanners": {value: name or value for value, _, name in scanners},
        "subjects": arguments.subjects,
        "select": select,
        "repeats": arguments.repeats,
        "t2": arguments.t2,
        "follow_up": None if arguments.follow_ups_after is None else {"after": arguments.follow_ups_after, **time},
    }


def preview(arguments: argparse.Namespace, brain: Brain = "auto") -> None:
    """Say what a dataset would give a study, and how brains would be found; images that can't be used are errors."""
    options = make(BidsOptions, dataset_options(arguments))
    images = read_images(options.folder)
    for line in describe(options, images, read_t2_images(options.folder)):
        print(line)
    ways = {}
    chosen = PreprocessOptions(brain=brain)
    for image in progress(images, what="images read", total=len(images)):
        ways[str(image.path)] = way_of(*reorient(*check_image(options.folder / image.path)), chosen)
    for line in describe_ways(ways, brain):
        print(line)
