"""The options of a segmentation, of an arm's images or of one by hand."""

from __future__ import annotations

import argparse

RULES = ("posterior", "partial_volume", "hard")


def add_segmentation_options(parser: argparse.ArgumentParser) -> None:
    """By which engine, and what counts as a tissue."""
    parser.add_argument("--engine", default="hmrf", help="segmentation engine (default: hmrf)")
    add_rule_options(parser)


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """What counts as a tissue."""
    parser.add_argument(
        "--rule", choices=RULES, default="posterior", help="what counts as a tissue (default: posterior)"
    )
    parser.add_argument("--threshold", type=float, default=0.8, help="for the rule (default: 0.8)")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
