"""`describe`: what the arms of a run are."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from baselines.harness.describing import describe
from core.files import write_table

HELP = "what the arms of a run are, as a table: method, label, citation, limits"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which arms, and where to write."""
    parser.add_argument("--arms", required=True, type=json.loads, metavar="JSON", help="each arm's method, in order")
    parser.add_argument("--out", required=True, type=Path, help="TSV to write")


def main(arguments: argparse.Namespace) -> None:
    """Write the table."""
    write_table(arguments.out, describe(arguments.arms))
