"""`prepare`: subjects of any source, as a study run does it."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.errors import InputError
from core.files import read_json
from core.jobs.made import reads
from studies.source_jobs import prepare_subjects
from studies.sources import source, sources

HELP = "write the scans of some subjects of a source, their truth, and a part sheet for each"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which subjects, and where to write."""
    parser.add_argument("--source", required=True, help=f"one of {', '.join(sources())}")
    parser.add_argument("--options", required=True, type=Path, help="JSON: the source's options, seed and scale")
    parser.add_argument("--subject", required=True, nargs="+", metavar="ID", help="which subjects")
    parser.add_argument("--out", required=True, type=Path, help="the folder to write into")


def main(arguments: argparse.Namespace) -> None:
    """Write the subjects asked for."""
    options = read_json(arguments.options)
    if not isinstance(options, dict):
        raise InputError(f"{arguments.options}: not a mapping of options")
    reads(source(arguments.source).inputs(options, arguments.subject))
    prepare_subjects(arguments.source, options, arguments.subject, arguments.out)
