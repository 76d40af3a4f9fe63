"""`new`: a template of a method."""

from __future__ import annotations

import argparse

from baselines.harness.template import write_template

HELP = "write a commented template of a method into this folder"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to call it."""
    parser.add_argument("name", help="the method's id: lower case letters, digits and _")


def main(arguments: argparse.Namespace) -> None:
    """Write the template."""
    print(f"wrote {write_template(arguments.name)}: its comments say what to edit")
