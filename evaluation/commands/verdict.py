"""`verdict`: whether any step of an arm, or of a scan, failed."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import read_table
from core.scan_quality import sentences
from evaluation.runs.status_table import failures

HELP = "exit with 1 if a step of any arm, or of a scan, failed"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which tables."""
    parser.add_argument("status", type=Path, metavar="STATUS", help="a run's status.tsv")
    parser.add_argument("quality", type=Path, nargs="?", metavar="QUALITY", help="its study/quality.tsv, if it has one")


def main(arguments: argparse.Namespace) -> int:
    """Say which arms and scans failed; 1 if any did."""
    told = failures(read_table(arguments.status))
    if arguments.quality is not None:
        told += sentences(read_table(arguments.quality), "failed")
    for sentence in told:
        print(sentence)
    return 1 if told else 0
