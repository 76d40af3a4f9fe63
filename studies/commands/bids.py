"""`bids`: what a BIDS dataset would give a study."""

from __future__ import annotations

import argparse

from studies.commands._dataset import add_dataset_options, preview

HELP = "a BIDS dataset: subjects by scanners, what is missing or ambiguous, what a study would need"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which dataset."""
    add_dataset_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Preview it."""
    preview(arguments)
