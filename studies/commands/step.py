"""`step`: one step of one scan, as a study run does it."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.errors import InputError
from core.files import read_json
from core.jobs.made import reads
from studies.source_jobs import do_step
from studies.sources import PlannedScan, source, sources

HELP = "one step of the preprocessing of one scan, as a study run does it"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which step, of which scan, and where to write."""
    parser.add_argument("name", help="the step, such as register")
    parser.add_argument("--source", required=True, help=f"one of {', '.join(sources())}")
    parser.add_argument("--options", required=True, type=Path, help="JSON: the source's options, seed and scale")
    parser.add_argument(
        "--scan",
        required=True,
        nargs="+",
        metavar=("SUBJECT SCANNER", "SESSION"),
        help="which scan; the session of a rescan alone",
    )
    parser.add_argument("--out", required=True, type=Path, help="the folder to write into")
    parser.add_argument("--status", type=Path, help="JSON to write how it ended into")
    parser.add_argument(
        "--requires", type=Path, nargs="*", default=[], help="records of steps that must have gone well"
    )


def main(arguments: argparse.Namespace) -> None:
    """Do a step of a scan."""
    if len(arguments.scan) not in (2, 3):
        raise InputError(f"--scan {' '.join(arguments.scan)}: give SUBJECT SCANNER, and the SESSION of a rescan")
    options = read_json(arguments.options)
    scan = PlannedScan(*arguments.scan)
    reads(file for planned in source(arguments.source).plan(options) if planned == scan for file in planned.files)
    do_step(
        arguments.source,
        arguments.name,
        options,
        scan,
        arguments.out,
        arguments.status,
        requires=arguments.requires,
    )
