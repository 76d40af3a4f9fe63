"""The scanner that no fit sees, so that arms can be judged on a scanner that they don't know.

It stands in the column `left_out` of the run's sheet, from which every step reads it. What is said of such a run is
said of the pairs that the scanner is in: both images of a pair are by one fit, which saw one of the two scanners.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from core.errors import InputError, nearest

COLUMN = "left_out"
MARK = "yes"
"""What the column says of the scanner's scans."""


def check_scanner(scanner: str, scanners: Sequence[str]) -> None:
    """Refuse to leave out a scanner that the study hasn't."""
    if scanner not in scanners:
        raise InputError(f"left_out: no scan is from a scanner '{scanner[:80]}'{nearest(scanner[:80], scanners)}")


def marks(scanners: Iterable[str], left_out: str) -> list[str]:
    """The cells of the column, of scans from `scanners`."""
    return [MARK if scanner == left_out else "" for scanner in scanners]


def marked(cells: Iterable[tuple[str, object]]) -> str:
    """The scanner whose scans are marked, from (scanner, cell of the column); empty where none is."""
    return next((scanner for scanner, cell in cells if cell == MARK), "")


def pairs_of(scanners: Sequence[str], left_out: str = "") -> list[tuple[str, str]]:
    """Every pair of scanners, in their order; of a scanner left out, those that it is in."""
    every = itertools.combinations(scanners, 2)
    return [pair for pair in every if not left_out or left_out in pair]
