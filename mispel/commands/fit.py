"""`fit`: MISPEL trained on a sheet of paired scans."""

from __future__ import annotations

import argparse

from baselines.harness.commands import add_fit_options, fit_from
from mispel.parameters import PRESETS

HELP = "train on a sheet of paired scans and save the model"


def add_options(parser: argparse.ArgumentParser) -> None:
    """On what, and how."""
    add_fit_options(parser, by_hand=True)
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        help="the same as --param preset=...; paper, the default, takes about a day on a CPU at 1 mm",
    )


def main(arguments: argparse.Namespace) -> None:
    """Train."""
    if arguments.preset is not None:
        arguments.param.insert(0, f"preset={arguments.preset}")
    fit_from(arguments, "mispel")
