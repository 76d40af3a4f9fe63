"""`volume-difference`: how the volumes of two label images differ; their grids may too."""

from __future__ import annotations

import argparse

from core.names import TISSUES
from evaluation.commands._files import add_two_files, print_by_tissue, volumes_of

HELP = "volumes of A less those of B in mL, by tissue"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which labels."""
    add_two_files(parser)


def main(arguments: argparse.Namespace) -> None:
    """Print how the volumes of two label images differ."""
    a, b = volumes_of(arguments.a), volumes_of(arguments.b)
    print_by_tissue("difference_ml", {tissue: a[tissue] - b[tissue] for tissue in TISSUES})
