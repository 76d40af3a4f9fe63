"""`apply`: the scans of a sheet harmonized with a saved model."""

from __future__ import annotations

import argparse

from baselines.harness.commands import add_apply_options, harmonize_from

HELP = "harmonize the scans of a sheet with a saved model"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which method, to what."""
    parser.add_argument("method")
    add_apply_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Apply the method."""
    harmonize_from(arguments, arguments.method)
