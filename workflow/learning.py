"""A learning curve, planned: which arms are fitted on how many travelling people, and how often.

Every Snakemake job imports this module, so it imports nothing heavy.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import InputError, nearest
from core.names import RAW
from core.run_folder import trial_name

FEWEST = 2
"""People that a curve begins with, and that are held out at least: of one there is no spread."""

MOST_FITS = 999
"""As many as a sweep has: more are a slip."""

HELD_OUT_SHARE = 1 / 3
"""Of the travelling people, that judge the curve where nothing else is configured."""


@dataclass(frozen=True)
class Candidate:
    """An arm that a curve may be asked of: why it has none (empty: it has), and how many people its fit takes."""

    why_none: str = ""
    least: int = 1


@dataclass(frozen=True)
class LearningCurve:
    """What is fitted: every arm on each number of people, under several draws of them.

    arms : in the order asked for. people : ascending. travelling : how many people were scanned on every scanner.
    """

    arms: tuple[str, ...]
    people: tuple[int, ...]
    draws: int
    held_out: int
    travelling: int

    @property
    def points(self) -> list[tuple[int, int]]:
        """Number of people and draw of every fit of an arm; all who are left to learn from are drawn once."""
        pool = self.travelling - self.held_out
        return [(count, draw) for count in self.people for draw in range(1, 1 + (self.draws if count < pool else 1))]

    @property
    def trials(self) -> list[str]:
        """The names of all fits."""
        return [trial_name(arm, *point) for arm in self.arms for point in self.points]


def planned_curve(given: Mapping[str, Any], candidates: Mapping[str, Candidate], travelling: int) -> LearningCurve:
    """The curve that a configuration's `learning` asks for, of a study with so many travelling people.

    `candidates` are the run's arms. Raises `InputError` that names the key, the number and the remedy.
    """
    arms = _arms(given["arms"], candidates)
    counts = "" if given["people"] is None else f", and learning.people asks for {max(given['people'])}"
    held_out = given["held_out"]
    if held_out is None:
        held_out = max(FEWEST, math.ceil(HELD_OUT_SHARE * travelling))
    pool = travelling - held_out
    if pool < (FEWEST if given["people"] is None else max(given["people"])):
        raise InputError(
            f"learning: {travelling} people were scanned on every scanner, of whom {held_out} are held out and "
            f"{max(pool, 0)} left to learn from{counts}; take fewer (learning.people, learning.held_out), or scan more "
            "people on every scanner"
        )
    people = tuple(sorted(set(given["people"]))) if given["people"] is not None else ladder(pool)
    for arm in arms:
        if people[0] < candidates[arm].least:
            raise InputError(
                f"learning.people: {people[0]}, and a fit of '{arm}' takes {candidates[arm].least} people at least; "
                "begin with as many, or leave the arm out (learning.arms)"
            )
    curve = LearningCurve(arms, people, given["draws"], held_out, travelling)
    if len(curve.trials) > MOST_FITS:
        raise InputError(
            f"learning: {len(arms)} arms at {len(curve.points)} points are {len(curve.trials)} fits; at most "
            f"{MOST_FITS} are made: take fewer arms, numbers of people or draws"
        )
    return curve


def ladder(pool: int) -> tuple[int, ...]:
    """2, 4, 8, ... people up to the pool, and all of it."""
    return (*(FEWEST**power for power in range(1, pool.bit_length()) if FEWEST**power < pool), pool)


def _arms(wanted: Sequence[str] | None, candidates: Mapping[str, Candidate]) -> tuple[str, ...]:
    """The arms whose curve is asked for: by default all that have one."""
    having = [arm for arm, candidate in candidates.items() if not candidate.why_none]
    for arm in wanted or ():
        if arm not in candidates:
            raise InputError(f"learning.arms: no arm is called '{arm[:80]}'{nearest(arm[:80], candidates)}")
        if candidates[arm].why_none:
            raise InputError(f"learning.arms: '{arm}' has no curve, since {candidates[arm].why_none}; leave it out")
    chosen: Collection[str] = having if wanted is None else wanted
    if not chosen:
        raise InputError("learning: no arm of the run is fitted, so that there is no curve; add one to methods")
    return tuple(dict.fromkeys(chosen))


def why_no_curve(*, role: str, fits_on: str, uses_other_scans: bool, of_volumes: str) -> str:
    """Why an arm has no learning curve; empty for one that has. `of_volumes`: whose volumes it harmonizes."""
    if role != "arm":
        return "it is a control, or a further fit"
    if fits_on != "study":
        return "it isn't fitted on people: it takes each scan by itself"
    if uses_other_scans:
        return "it looks at a person's other scans, and isn't compared"
    if of_volumes not in ("", RAW):
        return f"it harmonizes the volumes of '{of_volumes}', and a curve is of those of RAW"
    return ""
