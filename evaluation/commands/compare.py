"""`compare`: what differs between two runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluation.runs.comparison import compare, same_files

HELP = "what differs between two runs; exit with 1 if anything does"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which runs, and how closely."""
    parser.add_argument("run_a", type=Path, metavar="RUN_A")
    parser.add_argument("run_b", type=Path, metavar="RUN_B")
    parser.add_argument("--relative", type=float, default=1e-5, help="tolerance, relative to RUN_B (default: 1e-5)")
    parser.add_argument("--absolute", type=float, default=1e-9, help="and absolute (default: 1e-9)")
    parser.add_argument(
        "--bytes",
        action="store_true",
        help="name every file that isn't identical; for runs on one kind of processor",
    )


def main(arguments: argparse.Namespace) -> int:
    """Print what differs between two runs; 1 if any of the results does."""
    if arguments.bytes:
        differing = same_files(arguments.run_a, arguments.run_b)
        print("\n".join(differing) or "every file of the results is identical")
        return 1 if differing else 0
    found = compare(arguments.run_a, arguments.run_b, relative=arguments.relative, absolute=arguments.absolute)
    print("nothing differs" if found.empty else found.to_string(index=False))
    # what was run differently explains, but is no result
    return 0 if (found["file"] == "provenance.json").all() else 1
