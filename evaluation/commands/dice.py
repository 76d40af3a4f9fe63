"""`dice`: the overlap of two label images."""

from __future__ import annotations

import argparse

from evaluation.commands._files import add_two_files, print_by_tissue, read_labels
from evaluation.measures.overlap import dice_by_tissue

HELP = "Dice of two label images, by tissue"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which labels."""
    add_two_files(parser)


def main(arguments: argparse.Namespace) -> None:
    """Print Dice of two label images."""
    (a, b), _ = read_labels(arguments.a, arguments.b)
    print_by_tissue("dice", dice_by_tissue(a, b))
