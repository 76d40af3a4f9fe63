"""`harmonize`: a trained MISPEL applied to scans."""

from __future__ import annotations

import argparse

from baselines.harness.commands import add_apply_options, harmonize_from

HELP = "harmonize scans, also of people never seen in training, from scanners seen"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which scans, with which model."""
    add_apply_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Harmonize."""
    harmonize_from(arguments, "mispel")
