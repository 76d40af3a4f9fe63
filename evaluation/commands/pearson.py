"""`pearson`: the correlation of two images."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.commands._files import add_two_files, read_brain, read_together
from evaluation.measures.similarity import pearson

HELP = "Pearson correlation of two images"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, and where."""
    add_two_files(parser)
    parser.add_argument("--mask", type=Path, required=True, help="voxels to take")


def main(arguments: argparse.Namespace) -> None:
    """Print the correlation of two images over a mask."""
    (a, b, _), _ = read_together(arguments.a, arguments.b, arguments.mask)
    print(f"{pearson(a, b, read_brain(arguments.mask, {arguments.a: a, arguments.b: b})):.6g}")
