"""`draw`: the sheet of a point of a learning curve."""

from __future__ import annotations

import argparse
from pathlib import Path

from studies.draws import write_draw

HELP = "some of a sheet's travelling people to learn from, and others to judge by (column fold), for a learning curve"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of whom, how many, and where to write."""
    parser.add_argument("--scans", required=True, type=Path, help="the study's sheet")
    parser.add_argument("--held-out", required=True, type=int, metavar="N", help="how many people to judge by")
    parser.add_argument("--people", required=True, type=int, metavar="N", help="how many of the others to learn from")
    parser.add_argument("--draw", required=True, type=int, metavar="N", help="which draw of them: 1, 2, ...")
    parser.add_argument("--seed", type=int, default=0, help="of who is judged, and of the draws (default: 0)")
    parser.add_argument("--out", required=True, type=Path, help="the sheet to write")


def main(arguments: argparse.Namespace) -> None:
    """Write the sheet."""
    write_draw(
        arguments.scans,
        arguments.out,
        people=arguments.people,
        draw=arguments.draw,
        held_out=arguments.held_out,
        seed=arguments.seed,
    )
