"""`check`: whether a finished run is whole and of one configuration, code and input."""

from __future__ import annotations

import argparse

from core.files import read_table
from core.run_folder import RunFolder
from core.scan_quality import sentences
from evaluation.commands._run import add_run_argument
from evaluation.runs.status_table import failures
from evaluation.runs.wholeness import false_jobs, planned_jobs, strangers

HELP = "exit with 1 if a file of a finished run is missing, changed or of another configuration, or a step failed"
SHOWN = 20
"""Lines of one kind; the rest is counted."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run, how closely."""
    add_run_argument(parser)
    parser.add_argument("--quick", action="store_true", help="by sizes and times of files, not by their checksums")


def main(arguments: argparse.Namespace) -> int:
    """Say what isn't as it should be, and what to run; 1 if anything isn't."""
    at = RunFolder(arguments.run)
    planned = planned_jobs(at.root)
    seen = false_jobs(at.root, planned)
    false = seen if arguments.quick else false_jobs(at.root, planned, thorough=True)
    unseen = [name for name in false if name not in seen]
    told = failures(read_table(at.status)) if at.status.is_file() else []
    if at.study.quality.is_file():
        told += sentences(read_table(at.study.quality), "failed")
    left = [f"{path}: made by no job of this run" for path in strangers(at.root, planned)]
    for lines in (told, [f"{name}: {why}" for name, why in false.items()], left):
        for line in lines[:SHOWN]:
            print(line)
        if len(lines) > SHOWN:
            print(f"and {len(lines) - SHOWN} more")
    if seen:
        print("Start the run again with its configuration: it makes anew what is named, and what stands on it.")
    if unseen:
        records = " ".join(str(at.made(name)) for name in unseen)
        print(f"Changed without a trace in size or time: start the run again with --forcerun {records}")
    if left:
        print("Move away what no job made.")
    if not (told or false or left):
        print(f"{at.root}: whole; {len(planned)} jobs of one configuration, code and input")
    return 1 if told or false or left else 0
