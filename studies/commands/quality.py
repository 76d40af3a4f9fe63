"""`quality`: of all preprocessed scans of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.errors import InputError
from studies.commands._flagged import add_flagged
from studies.sources import PlannedScan, source

HELP = "numbers and flags of every preprocessed scan, in one table"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which scans, and where to write."""
    parser.add_argument("folder", type=Path, help="the folder that was preprocessed into: RUN/study")
    parser.add_argument("--source", default="bids", help="whose steps they went through (default: bids)")
    parser.add_argument(
        "--scans", required=True, nargs="+", metavar="SUBJECT:SCANNER[:SESSION]", help="every scan planned"
    )
    add_flagged(parser)
    parser.add_argument("--out", required=True, type=Path, help="TSV to write; a .md is written beside it")


def main(arguments: argparse.Namespace) -> None:
    """Write the quality of every planned scan."""
    for text in arguments.scans:
        if text.count(":") not in (1, 2):
            raise InputError(f"--scans {text}: give SUBJECT:SCANNER, and the session of a rescan after another colon")
    scans = [PlannedScan(*text.split(":")) for text in arguments.scans]
    source(arguments.source).quality(arguments.folder, scans, arguments.out, arguments.flagged)
