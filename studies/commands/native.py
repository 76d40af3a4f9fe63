"""`native`: harmonized scans back on the scanners' own grids."""

from __future__ import annotations

import argparse
from pathlib import Path

from studies.preprocessing.native import take_back

HELP = "take images on the atlas's grid, such as harmonized ones, back to the scanners' own grids"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, and where to write."""
    parser.add_argument("images", type=Path, help="a folder of images: results/RUN/images/METHOD")
    parser.add_argument("--study", required=True, type=Path, help="the folder that was preprocessed into: RUN/study")
    parser.add_argument("--out", required=True, type=Path, help="the folder to write into")


def main(arguments: argparse.Namespace) -> None:
    """Take a folder of images back to native grids."""
    for path in take_back(arguments.images, arguments.study, arguments.out):
        print(path)
