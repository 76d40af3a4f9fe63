"""`provenance`: what was run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from core.errors import InputError
from core.files import write_json
from core.run_folder import RunFolder
from core.sheet import read_sheet
from evaluation.runs.provenance import describe
from evaluation.runs.wholeness import false_jobs, planned_jobs

AFTER = ("provenance", "tables", "figures", "report")
"""Steps of jobs that don't stand before this one."""

HELP = "what was run: configuration, versions, machine, checksums"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which study and configuration."""
    parser.add_argument("--scans", type=Path, required=True, help="the study's sheet")
    parser.add_argument("--config", required=True, help="the configuration, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")


def main(arguments: argparse.Namespace) -> None:
    """Write `RUN/provenance.json`; refuse results that aren't of one run."""
    run = arguments.scans.parent
    if RunFolder(run).planned.is_file():
        false = false_jobs(run, planned_jobs(run), steps_left_out=AFTER)
        for job, why in false.items():
            raise InputError(
                f"{run}: results that aren't of one configuration, code and input ({job}: {why}); start again"
            )
    study = read_sheet(arguments.scans, check=False)
    write_json(arguments.out, describe(study, arguments.scans, json.loads(arguments.config)))
