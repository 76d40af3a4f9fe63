"""What a measure is to the benchmark: a file of this folder; being there is the registration.

Such a file describes what it measures in `MEASURES: tuple[Measure, ...]`, and has any of

- `TABLE: str` and `of_person(person: Person) -> list[dict]`: rows (column: value) of the table
  `RUN/metrics/<TABLE>.tsv` for one person's scans of one arm; method and subject are added to them;
  `COLUMNS` names the first of the rows' columns, which the table has though a study may give it no row;
- with `PAIRS = True`, rows of pairs of scanners (`scanner_a`, `scanner_b`): the same is then measured between a
  scan and its rescans, in `RUN/metrics/rescan_<TABLE>.tsv`, which is the measure's floor;
- `arrays_of_person(person: Person) -> dict[scanner, array]`: an array a scan, kept for `of_study`;
- `of_study(measured: Measured) -> dict[table, pandas.DataFrame]`: tables that need everyone; `AFTER` names the
  files whose tables it needs.

`contrast.py` is a short one to copy. Steps, statistics, summary, tables and the report find the rest out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from core.names import TISSUES
from evaluation.scan_pairs import with_first_scans

if TYPE_CHECKING:
    import pandas as pd

    from core.study import Study

OverPeople = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a measure enters the summary.

    `asks`: "removed" for differences between scanners, which harmonization should bring nearer to the oracle
    than RAW is; "kept" for what a person's scan has already and harmonization must not lose; "nearer" for
    nearness to the truth, and for the quality of single images: it may be won without removing any difference
    of scanners, and isn't evidence of that.
    `over_people`: takes its numbers (..., people, scanners or pairs, tissues), without a gap, to one
    number (...); None: the mean of the people's means.
    `guess`: a guess is right once in so many, which is then the measure's worst or best value.
    """

    asks: Literal["removed", "kept", "nearer"]
    over_people: OverPeople | None = None
    guess: Literal["scanners", "people"] | None = None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a measure is: `name` as in the TSVs, `label` for people, and which way is better.

    `table` and `column`: where in `RUN/metrics` its numbers are, a row a person's scan or pair of scans
    (and tissue), for one that is tested or in the summary. `tested`: every arm is tested against RAW in it,
    pair of scanners by pair. `by_tissue`: whether those rows have a tissue; as the primary endpoint it needs one then.
    """

    name: str
    label: str
    unit: str = ""
    lowest: float
    highest: float
    better: Literal["higher", "lower"]
    definition: str
    reference: str = ""
    table: str = ""
    column: str = ""
    tested: bool = False
    by_tissue: bool = False
    summary: Summary | None = None

    def has_numbers_in(self, table: pd.DataFrame | None) -> bool:
        """Whether a table of `RUN/metrics` has the measure's column, with any number in it."""
        return table is not None and self.column in table and bool(table[self.column].notna().any())

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


def rescan_table(table: str) -> str:
    """The table of the same numbers between scans and rescans of one scanner."""
    return f"rescan_{table}"


FOLLOW_UPS = "follow_up_volumes"
"""The table of volumes of follow-ups, beside the true ones where they are known; without follow-ups there is none."""


class Range(NamedTuple):
    """The ends of an arm's intensities: the 0.5th and 99.5th percentile of its brain voxels."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is known of a scan of a phantom, or of a simulated scanner; None for what isn't.

    image: (X, Y, Z), without noise, fields and misregistration, on RAW's scale, 0 outside the mask.
    labels: (X, Y, Z), uint8, the tissue that fills most of a voxel; volumes_ml: by tissue, from its fractions.
    """

    image: np.ndarray | None = None
    labels: np.ndarray | None = None
    volumes_ml: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person's scans of one arm, by scanner in the study's order; all arrays share one box (X, Y, Z).

    images: float32 on RAW's scale (the arm's one affine map onto it), 0 outside the mask.
    own_images: the same on the arm's own scale.
    masks: brain, bool.
    labels: the arm's segmentation, uint8: 0 none, 1 CSF, 2 GM, 3 WM.
    tissues: CSF, GM and WM, bool: the voxels that RAW's segmentation gives to the tissue on at least half
    of the person's scanners, and to no other as often. They are the same for all arms, so no arm chooses
    its own voxels.
    own_range, reference_range: the arm's range of intensities on its own scale, and RAW's.
    truth: of the scans of which something is known.
    origin: the box's first voxel in the study's grid; voxel_sizes in mm.
    grid_shape: the study's grid; None where the box is all of it.
    arm: whose scans these are.
    """

    images: Mapping[str, np.ndarray]
    own_images: Mapping[str, np.ndarray]
    masks: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]
    tissues: Mapping[str, np.ndarray]
    own_range: Range
    reference_range: Range
    truth: Mapping[str, Truth] = field(default_factory=dict)
    origin: tuple[int, int, int] = (0, 0, 0)
    voxel_sizes: tuple[float, float, float]
    grid_shape: tuple[int, int, int] | None = None
    arm: str = ""

    @cached_property
    def white_and_gray(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By scanner white and gray matter's voxels (N,), (M,) of its scan, flattened.

        They are the true labels' in the scan's mask where those are known, else `tissues`: the same for every arm,
        so that no arm gains by moving the border between the tissues.
        """
        common = np.flatnonzero(self.tissues["WM"]), np.flatnonzero(self.tissues["GM"])
        found = {}
        for scanner in self.images:
            truth = self.truth.get(scanner)
            if truth is None or truth.labels is None:
                found[scanner] = common
            else:
                brain = np.flatnonzero(self.masks[scanner])
                labels = truth.labels.ravel()[brain]
                white, gray = (brain[labels == 1 + TISSUES.index(tissue)] for tissue in ("WM", "GM"))
                found[scanner] = white, gray
        return found


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run's measures of single people, for those measures that need everyone.

    `tables` are those of `RUN/metrics` by name; `arrays(module, method)` gives what a module's
    `arrays_of_person` made, by (subject, scanner); `regions(method)` gives an arm's volumes by region (method,
    subject, scanner, session, rescan, region, tissue, and mL by rule), without a row where it has none. `seed` and
    `resamples` are the bootstrap's.
    """

    study: Study
    arms: Sequence[str]
    tables: Mapping[str, pd.DataFrame]
    arrays: Callable[[str, str], dict[tuple[str, str], np.ndarray]]
    regions: Callable[[str], pd.DataFrame]
    seed: int
    resamples: int

    @property
    def sessions(self) -> set[str]:
        """What the sheet calls its visits."""
        return {scan.session for scan in self.study.every}

    @property
    def volumes_again(self) -> pd.DataFrame:
        """Volumes of the scans and rescans, by session, of whom was scanned again on a scanner; no row of others."""
        again = self.tables.get(rescan_table("volumes"))
        if again is None:
            again = self.tables["volumes"].head(0).assign(session="")
        return with_first_scans(self.tables["volumes"], again, self.study)

    def in_order(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows by method, subject, scanners and tissue, each in the order of the configuration and the sheet.

        Rows of subjects or scanners that the sheet doesn't hold are left out, and of pairs that aren't the study's.
        """
        import pandas as pd

        scanners = self.study.scanners
        if {"scanner_a", "scanner_b"} <= set(table.columns):
            pairs = set(self.study.pairs)
            table = table[[pair in pairs for pair in zip(table["scanner_a"], table["scanner_b"], strict=True)]]
        orders = {
            "method": list(self.arms),
            "subject": self.study.subjects,
            "scanner": scanners,
            **{name: sorted(self.sessions) for name in ("session", "session_a", "session_b")},
            "scanner_a": scanners,
            "scanner_b": scanners,
            "tissue": list(TISSUES),
        }
        positions = {
            column: table[column].map({name: position for position, name in enumerate(order)})
            for column, order in orders.items()
            if column in table.columns
        }
        ranks = pd.DataFrame(positions, index=table.index).dropna()
        return table.loc[ranks.sort_values(list(positions), kind="stable").index].reset_index(drop=True)
