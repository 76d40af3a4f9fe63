"""`check`: whether a finished run is whole and of one configuration, code and input."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from core.files import read_table, write_text
from core.jobs.made import NO_RECORD
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
    parser.add_argument("--complete", type=Path, metavar="FILE", help="what a run writes last: made if all is well")


def main(arguments: argparse.Namespace) -> int:
    """Say what isn't as it should be, and what to run; 1 if anything isn't."""
    at = RunFolder(arguments.run)
    planned = planned_jobs(at.root)
    seen = false_jobs(at.root, planned)
    false = seen if arguments.quick else false_jobs(at.root, planned, thorough=True)
    unseen = [name for name in false if name not in seen]
    told = failed_steps(at, false)
    # without its record a job's files can't be told from others
    foreign = () if NO_RECORD in false.values() else strangers(at.root, planned)
    left = [f"{path}: made by no job of this run" for path in foreign]
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
    if told or false or left:
        return 1
    if arguments.complete:
        write_text(arguments.complete, "")
    elif not at.complete.is_file():
        print(f"{at.complete}: gone, so this run didn't come to its end. Start it again with its configuration.")
        return 1
    print(f"{at.root}: whole; {len(planned)} jobs of one configuration, code and input")
    return 0


def failed_steps(at: RunFolder, false: Collection[str]) -> list[str]:
    """A sentence for each arm and scan of which a step failed, from the tables that are as their jobs made them."""
    told = failures(read_table(at.status)) if at.status.is_file() and "status/all" not in false else []
    if at.study.quality.is_file() and "quality/all" not in false:
        told += sentences(read_table(at.study.quality), "failed")
    return told
