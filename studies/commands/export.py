"""`export`: a run's images and labels as BIDS derivatives."""

from __future__ import annotations

import argparse
from pathlib import Path

from studies.export import export

HELP = "a run's images, tissue labels and brain masks as BIDS derivatives"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which run, which of its arms, and where to write."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run's folder, such as results/demo")
    parser.add_argument("--out", required=True, type=Path, help="the derivative's folder")
    parser.add_argument("--arms", nargs="+", default=(), metavar="ARM", help="only these (default: all but controls)")
    parser.add_argument("--controls", action="store_true", help="without --arms: controls and further seeds too")
    parser.add_argument("--native", action="store_true", help="images alone, on the scanners' own grids")


def main(arguments: argparse.Namespace) -> None:
    """Write the derivative."""
    given = {"arms": arguments.arms, "controls": arguments.controls, "native": arguments.native}
    print(export(arguments.run, arguments.out, **given))
