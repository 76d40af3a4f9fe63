"""`volumes`: the volumes of a label image."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.commands._files import print_by_tissue, volumes_of

HELP = "volumes of a label image in mL, by tissue"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which labels."""
    parser.add_argument("labels", type=Path, metavar="LABELS")


def main(arguments: argparse.Namespace) -> None:
    """Print the volumes of a label image."""
    print_by_tissue("volume_ml", volumes_of(arguments.labels))
