"""What verbs share that decide on scans by their quality."""

from __future__ import annotations

import argparse
from typing import get_args

from core.scan_quality import Flagged


def add_flagged(parser: argparse.ArgumentParser) -> None:
    """The option that says what becomes of unfit scans."""
    parser.add_argument(
        "--flagged",
        choices=get_args(Flagged),
        default="refuse",
        help="what becomes of scans that don't look like brains on the atlas (default: refuse the study)",
    )
