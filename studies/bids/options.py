"""What a study of a BIDS dataset can be asked for. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.errors import InputError, nearest
from core.options import make

ENTITIES = ("ses", "acq", "run", "rec", "ce", "desc", "space", "cohort", "res", "echo", "inv", "part")
"""What the name of an image says of it, beside the subject."""

TABLES = ("participants", "sessions", "scans")
SCANNER_WAYS = "ses, acq, model, participants:COLUMN, sessions:COLUMN or scans:COLUMN, or one if all are of one"

ACQUISITION = ("ses", "acq", "run")
"""Images that are alike in these are of one acquisition, and none is a rescan of another."""

Repeats = Literal["refuse", "first", "last", "rescans"]

OPENNEURO = {"id": re.compile(r"ds[0-9]{6}"), "version": re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}")}
"""What public datasets and their versions are called."""

ACQ_TIME = "acq_time"
"""BIDS's column for when something was acquired, of sessions.tsv and scans.tsv."""

Value = str | int | None
"""Of an entity, as YAML has it: `run: 1` is a number there."""


@dataclass(frozen=True)
class FollowUp:
    """Which sessions are follow-ups.

    after : of more than so many years after the person's first one; up to that they are of one time, and several
        images of a person on one scanner are what `repeats` says. Brains change by a percent a year or less, which
        half a year keeps below what rescans differ by.
    time : what says when a session was: `acq_time`, the column of that name of scans.tsv or, where that has none,
        of sessions.tsv; or a column of numbers of years, such as ages, as `sessions:COLUMN` or `scans:COLUMN`.
    """

    after: float = 0.5
    time: str = ACQ_TIME

    def __post_init__(self) -> None:
        if not 0 < self.after <= 100:
            raise InputError(f"follow_up.after: {self.after!r}; give years after the first session, above 0 to 100")
        table, colon, column = self.time.partition(":")
        if self.time != ACQ_TIME and not (table in ("sessions", "scans") and colon and column):
            raise InputError(f"follow_up.time: '{self.time}'; give {ACQ_TIME}, sessions:COLUMN or scans:COLUMN")

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Tables and their columns that are asked in turn."""
        if self.time == ACQ_TIME:
            return ("scans", ACQ_TIME), ("sessions", ACQ_TIME)
        table, _, column = self.time.partition(":")
        return ((table, column),)


@dataclass(frozen=True)
class BidsOptions:
    """Which images of a dataset make up the study.

    Attributes
    ----------
    dataset : the dataset's folder; a derivative (preprocessed images) is a dataset of its own.
    scanner : what tells scanners apart: `ses`, `acq`, `model` (the sidecar's ManufacturersModelName), or
        a column of participants.tsv, sessions.tsv or scans.tsv as `participants:COLUMN` and so on; `one`
        where all images are from one.
    scanners : the values to use, in the order of pairs; as a mapping, also the names that they get.
    subjects : labels without `sub-`, or how many of those found; None for all.
    select : by file name entity the value or values to keep; None among them keeps images without it.
    repeats : several images of one subject and scanner: refuse them, or use the first or the last in
        the order of session, acquisition and run, or all: rescans takes the first for the scan and the others
        for its rescans, each named by the session, acquisition or run that tells them apart, or numbered.
    openneuro : `id` and `version` of the public dataset to download the images from (and a `server` that
        answers as OpenNeuro's does), or None.
    follow_up : which sessions are follow-ups (the options of `FollowUp`); None: none is, whatever tables say of times.
    t2 : whether each T1w image has the T2w image of its subject and session beside it, where there is one.
    """

    dataset: str | None = None
    scanner: str | None = None
    scanners: tuple[str | int, ...] | Mapping[str, str] = field(default_factory=dict)
    subjects: tuple[str | int, ...] | int | None = None
    select: Mapping[str, Value | tuple[Value, ...]] = field(default_factory=dict)
    repeats: Repeats = "refuse"
    openneuro: Mapping[str, str] | None = None
    t2: bool = False
    follow_up: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.dataset:
            raise InputError("study.bids.dataset: not named; give the folder of a BIDS dataset")
        if self.scanner is not None:
            check_scanner_way(self.scanner)
        if isinstance(self.subjects, int) and self.subjects < 1:
            raise InputError(f"subjects: {self.subjects}; give labels, how many people (1 or more), or null for all")
        for entity in self.select:
            if entity not in ENTITIES:
                raise InputError(f"select: '{entity}' is no entity of a T1w file name{nearest(entity, ENTITIES)}")
        if self.openneuro is not None:
            check_openneuro(self.openneuro)
        self.made_follow_up()

    def made_follow_up(self) -> FollowUp | None:
        """`follow_up` as its options; None where no session is one."""
        return None if self.follow_up is None else make(FollowUp, self.follow_up, "follow_up")

    @property
    def folder(self) -> Path:
        """`dataset` as a path."""
        return Path(self.dataset or "")

    @property
    def named_scanners(self) -> dict[str, str]:
        """`scanners` as a mapping: the values to use and the names that they get."""
        if isinstance(self.scanners, Mapping):
            return dict(self.scanners)
        return {str(value): str(value) for value in self.scanners}

    @property
    def wanted_subjects(self) -> list[str] | None:
        """`subjects` as labels; None where it doesn't name any."""
        return [str(subject) for subject in self.subjects] if isinstance(self.subjects, tuple) else None

    @property
    def selection(self) -> dict[str, tuple[str | None, ...]]:
        """`select` with a tuple of texts for each entity."""
        return {
            entity: tuple(
                None if value is None else str(value) for value in (wanted if isinstance(wanted, tuple) else (wanted,))
            )
            for entity, wanted in self.select.items()
        }


def check_openneuro(dataset: Mapping[str, str]) -> None:
    """Refuse what can't be a public dataset: its id and version name a file in the dataset's folder."""
    example = "give `id` and `version`, such as {id: ds004712, version: 2.0.1}"
    if not {"id", "version"} <= set(dataset) <= {"id", "version", "server"}:
        raise InputError(f"openneuro: {example}")
    for key, form in OPENNEURO.items():
        if not form.fullmatch(dataset[key]):
            raise InputError(f"openneuro.{key}: {dataset[key][:80]!r} isn't one; {example}")
    if not dataset.get("server", "https://").startswith(("https://", "http://")):
        raise InputError(f"openneuro.server: {dataset['server'][:80]!r}; give an address that begins with https://")


def check_scanner_way(way: str) -> None:
    """Refuse what can't tell scanners apart."""
    table, colon, column = way.partition(":")
    if way not in ("ses", "acq", "model", "one") and not (table in TABLES and colon and column):
        raise InputError(f"scanner: '{way}'; give {SCANNER_WAYS}")
