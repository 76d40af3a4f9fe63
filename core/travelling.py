"""Travelling people, who were scanned on every scanner, divided for a learning curve: to learn from, and to judge by.

The judged are the same at every point of the curve and in no fit. Of the others each draw is a shuffle, and a point
takes the first of it, so that the points of a draw differ by the people added. Who misses a scan is in neither: a
point's number of people is then each scanner's number of scans too.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from core.errors import InputError
from core.folds import fold_names

JUDGED, LEARNED = fold_names(2)
"""The folds of a point's sheet: the people it is judged by, whom no fit sees, and those it learns from."""


def travelling(scans: Iterable[tuple[str, str]]) -> list[str]:
    """Of (subject, scanner), a pair a scan, the subjects who were scanned on every scanner, in their order."""
    seen: dict[str, set[str]] = {}
    for subject, scanner in scans:
        seen.setdefault(subject, set()).add(scanner)
    scanners = set().union(*seen.values())
    return [subject for subject, own in seen.items() if own == scanners]


def divided(people: Sequence[str], held_out: int, *, seed: int) -> tuple[list[str], list[str]]:
    """So many people to judge by, by chance from `seed`, and the others to learn from, both in their order.

    Raises `InputError` where nobody is left to learn from.
    """
    if not 0 < held_out < len(people):
        raise InputError(
            f"learning.held_out is {held_out}, and {len(people)} people were scanned on every scanner; at least one is "
            "judged, and one left to learn from"
        )
    judged = set(random.Random(f"{seed} held out").sample(people, held_out))
    return [one for one in people if one in judged], [one for one in people if one not in judged]


def drawn(pool: Sequence[str], people: int, draw: int, *, seed: int) -> list[str]:
    """The first so many of draw number `draw`'s shuffle of the pool, in the pool's order; nested in each other.

    Raises `InputError` for more than there are.
    """
    if people > len(pool):
        raise InputError(
            f"learning.people asks for {people}, and {len(pool)} are left to learn from; take fewer, or hold out fewer "
            "(learning.held_out)"
        )
    chosen = set(random.Random(f"{seed} draw {draw}").sample(pool, len(pool))[:people])
    return [one for one in pool if one in chosen]
