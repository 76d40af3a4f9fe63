"""`fit`: a method fitted on a sheet of scans."""

from __future__ import annotations

import argparse

from baselines.harness.commands import add_fit_options, fit_from
from baselines.harness.registry import method
from baselines.harness.volume_commands import add_volume_options, fit_volumes_from, refuse_volumes

HELP = "fit a method on a sheet of scans and save the model"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which method, on what."""
    parser.add_argument("method")
    add_fit_options(parser)
    add_volume_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Fit the method."""
    if method(arguments.method).gives == "volumes":
        fit_volumes_from(arguments, arguments.method)
    else:
        refuse_volumes(arguments, arguments.method)
        fit_from(arguments, arguments.method)
