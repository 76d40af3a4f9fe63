"""How Snakemake was started."""

from __future__ import annotations

import shlex
import sys


def is_dry_run() -> bool:
    """Whether Snakemake was asked to plan only; a workflow isn't told before its rules are read."""
    from snakemake.cli import get_argument_parser

    given, _ = get_argument_parser().parse_known_args(sys.argv[1:])
    return bool(given.dryrun)


def command_line() -> str:
    """The command that started Snakemake, as one would type it."""
    return shlex.join(["snakemake", *sys.argv[1:]])
