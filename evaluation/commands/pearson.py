"""`pearson`: the correlation of two images."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.images import load_mask
from evaluation.commands._files import add_two_files, read_together
from evaluation.measures.similarity import pearson

HELP = "Pearson correlation of two images"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, and where."""
    add_two_files(parser)
    parser.add_argument("--mask", type=Path, required=True, help="voxels to take")


def main(arguments: argparse.Namespace) -> None:
    """Print the correlation of two images over a mask."""
    (a, b, _), _ = read_together(arguments.a, arguments.b, arguments.mask)
    print(f"{pearson(a, b, load_mask(arguments.mask)[0]):.6g}")
