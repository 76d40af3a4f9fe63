"""How Snakemake was started."""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import cache


def is_dry_run() -> bool:
    """Whether Snakemake was asked to plan only; a workflow isn't told before its rules are read."""
    return bool(_given().dryrun)


def asks_for(target: str) -> bool:
    """Whether Snakemake was asked for this target by name."""
    return target in _given().targets


def says_cores() -> bool:
    """Whether the command line says how many cores there are; a dry run is told 1 where it doesn't."""
    return _given().cores is not None


@cache
def _given() -> argparse.Namespace:
    from snakemake.cli import get_argument_parser

    given: argparse.Namespace = get_argument_parser().parse_known_args(sys.argv[1:])[0]
    return given


def command_line() -> str:
    """The command that started Snakemake, as one would type it."""
    return shlex.join(["snakemake", *sys.argv[1:]])
