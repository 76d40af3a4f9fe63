"""`simulate`: real people's brains on simulated scanners."""

from __future__ import annotations

import argparse

from studies.commands._simulated import add_scan_options, make, scan_options

HELP = "simulated scanners on real brains, a BIDS folder of skull-stripped T1-weighted images; previewed without --out"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Whose brains, and how they are scanned."""
    parser.add_argument("--anatomy", required=True, help="a BIDS folder, or a TSV with the columns subject and image")
    parser.add_argument("--subjects", type=int, help="how many of the people found (default: all)")
    add_scan_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Preview the study, or write it."""
    make("simulate", arguments, scan_options(arguments, ["subjects", "anatomy"]))
