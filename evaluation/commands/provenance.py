"""`provenance`: what was run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from core.files import write_json
from core.sheet import read_sheet
from evaluation.runs.provenance import describe

HELP = "what was run: configuration, versions, machine, checksums"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which study and configuration."""
    parser.add_argument("--scans", type=Path, required=True, help="the study's sheet")
    parser.add_argument("--config", required=True, help="the configuration, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")


def main(arguments: argparse.Namespace) -> None:
    """Write `RUN/provenance.json`."""
    study = read_sheet(arguments.scans, check=False)
    write_json(arguments.out, describe(study, arguments.scans, json.loads(arguments.config)))
