"""`phantom`: made-up people on simulated scanners."""

from __future__ import annotations

import argparse

from studies.commands._simulated import add_scan_options, make, scan_options

HELP = "simulated: made-up people on simulated scanners, with the truth beside each scan; previewed without --out"


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many people, and how they are scanned."""
    parser.add_argument("--subjects", type=int, help="how many people to make up (default: 6)")
    add_scan_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Preview the study, or write it."""
    make("phantom", arguments, scan_options(arguments, ["subjects"]))
