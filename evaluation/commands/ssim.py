"""`ssim`: structural similarity of two images."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.commands._files import add_two_files, read_brain, read_together
from evaluation.measures.similarity import ssim

HELP = "structural similarity of two images"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, where, and on which scale."""
    add_two_files(parser)
    parser.add_argument("--mask", type=Path, required=True, help="voxels to average over")
    parser.add_argument("--data-range", type=float, required=True, help="range of the images' intensities")
    parser.add_argument("--low", type=float, default=0.0, help="what the background is set to (default: 0)")


def main(arguments: argparse.Namespace) -> None:
    """Print SSIM of two images over a mask."""
    (a, b, _), _ = read_together(arguments.a, arguments.b, arguments.mask)
    brain = read_brain(arguments.mask, {arguments.a: a, arguments.b: b})
    print(f"{ssim(a, b, brain, data_range=arguments.data_range, low=arguments.low):.6g}")
