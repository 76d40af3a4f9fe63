"""What verbs about a run's folder share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """The run's folder."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, such as results/demo")


def add_bootstrap_options(parser: argparse.ArgumentParser) -> None:
    """How people are resampled."""
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument("--bootstrap", type=int, default=2000, metavar="N", help="resamples of people (default: 2000)")


def add_primary_option(parser: argparse.ArgumentParser) -> None:
    """Which endpoint is the primary one."""
    parser.add_argument(
        "--primary",
        default="volume_difference_pve:GM",
        metavar="MEASURE[:TISSUE]",
        help="the primary endpoint (default: %(default)s)",
    )


def print_paths(paths: Iterable[Path]) -> None:
    """Say what was written, a line each."""
    for path in paths:
        print(path)
