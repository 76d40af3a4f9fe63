"""`fit`: a method fitted on a sheet of scans."""

from __future__ import annotations

import argparse

from baselines.harness.commands import add_fit_options, fit_from

HELP = "fit a method on a sheet of scans and save the model"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which method, on what."""
    parser.add_argument("method")
    add_fit_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Fit the method."""
    fit_from(arguments, arguments.method)
