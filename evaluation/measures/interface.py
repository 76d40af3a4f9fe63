"""What a measure is to the benchmark: a file of this folder; being there is the registration.

Such a file describes what it measures in `MEASURES: tuple[Measure, ...]`, and has any of

- `TABLE: str` and `of_person(person: Person) -> list[dict]`: rows (column: value) of the table
  `RUN/metrics/<TABLE>.tsv` for one person's scans of one arm; method and subject are added to them;
- `arrays_of_person(person: Person) -> dict[scanner, array]`: an array a scan, kept for `of_study`;
- `of_study(measured: Measured) -> dict[table, pandas.DataFrame]`: tables that need everyone.

`contrast.py` is a short one to copy.  Steps, summary, tables and the report find the rest out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from core.study import Study

OverPeople = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Summary:
    """How a measure enters the summary.

    `table` and `column`: where in `RUN/metrics` its numbers are, a row a person's scan or pair of scans
    (and tissue).
    `asks`: "removed" for what harmonization should bring nearer to the oracle than RAW is; "kept" for
    what a person's scan has already and harmonization must not lose.
    `over_people`: takes those numbers (..., people, scanners or pairs, tissues), without a gap, to one
    number (...); None: the mean of the people's means.
    `guess`: a guess is right once in so many, which is then the measure's worst or best value.
    """

    table: str
    column: str
    asks: Literal["removed", "kept"]
    over_people: OverPeople | None = None
    guess: Literal["scanners", "people"] | None = None


@dataclass(frozen=True)
class Measure:
    """What a measure is: `name` as in the TSVs, `label` for people, and which way is better."""

    name: str
    label: str
    unit: str
    lowest: float
    highest: float
    better: Literal["higher", "lower"]
    definition: str
    reference: str = ""
    summary: Summary | None = None

    def improves(self, difference: float) -> bool:
        """Whether a change by `difference` (method minus reference) is for the better."""
        return difference > 0 if self.better == "higher" else difference < 0

    @property
    def best(self) -> float:
        """The best value there can be; infinite for some."""
        return self.highest if self.better == "higher" else self.lowest

    @property
    def range_in_words(self) -> str:
        """From the lowest to the highest value, as a person says it."""
        low, high = math.isfinite(self.lowest), math.isfinite(self.highest)
        if low and high:
            return f"{self.lowest:g} to {self.highest:g}"
        return f"{self.lowest:g} up" if low else f"up to {self.highest:g}" if high else "any number"


@dataclass(frozen=True)
class Person:
    """One person's scans of one arm, by scanner in the study's order; all arrays share one box (X, Y, Z).

    images: float32 on RAW's scale (the arm's one affine map onto it), 0 outside the mask.
    masks: brain, bool.
    tissues: CSF, GM and WM, bool: the voxels that RAW's segmentation gives to the tissue on at least half
    of the person's scanners, and to no other as often.  They are the same for all arms, so no arm chooses
    its own voxels.
    origin: the box's first voxel in the study's grid; voxel_sizes in mm.
    """

    images: Mapping[str, np.ndarray]
    masks: Mapping[str, np.ndarray]
    tissues: Mapping[str, np.ndarray]
    origin: tuple[int, int, int]
    voxel_sizes: tuple[float, float, float]


@dataclass(frozen=True)
class Measured:
    """A run's measures of single people, for those measures that need everyone.

    `tables` are those of `RUN/metrics` by name; `arrays(module, method)` gives what a module's
    `arrays_of_person` made, by (subject, scanner).  `seed` and `resamples` are the bootstrap's.
    """

    study: Study
    methods: Sequence[str]
    tables: Mapping[str, pd.DataFrame]
    arrays: Callable[[str, str], dict[tuple[str, str], np.ndarray]]
    seed: int
    resamples: int
