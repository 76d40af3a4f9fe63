"""`apply`: the scans of a sheet harmonized with a saved model."""

from __future__ import annotations

import argparse

from baselines.harness.commands import add_apply_options, harmonize_from
from baselines.harness.registry import method
from baselines.harness.volume_commands import add_volume_options, apply_volumes_from, refuse_volumes

HELP = "harmonize the scans of a sheet, or their volumes, with a saved model"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which method, to what."""
    parser.add_argument("method")
    add_apply_options(parser)
    add_volume_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Apply the method."""
    if method(arguments.method).gives == "volumes":
        apply_volumes_from(arguments, arguments.method)
    else:
        refuse_volumes(arguments, arguments.method)
        harmonize_from(arguments, arguments.method)
