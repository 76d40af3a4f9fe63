"""`bench`: what MISPEL's speed-ups bring."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.files import write_table
from core.libraries import check_libraries
from mispel.method import Mispel

HELP = "measure what the speed-ups bring, as a table"


def add_options(parser: argparse.ArgumentParser) -> None:
    """How long to measure."""
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over so many (default: 3)")
    parser.add_argument("--small", action="store_true", help="fewer and smaller measurements, in two minutes")
    parser.add_argument("--out", type=Path, help="write the table as TSV too")


def main(arguments: argparse.Namespace) -> None:
    """Measure, print the table and write it where asked."""
    check_libraries(Mispel.libraries, "mispel")
    from mispel.bench import bench

    table = bench(rounds=arguments.rounds, small=arguments.small)
    print(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.3g}"))
    if arguments.out is not None:
        write_table(arguments.out, table)
