"""What a study of simulated scans can be asked for. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.errors import InputError, nearest
from core.names import Scale
from core.options import make
from studies.simulation.physics import CALIBRATED, Scanner, make_scanners

PAPER_SCANNERS = ("GE", "Philips", "Prisma", "Trio")
MOST_SUBJECTS = 10_000
MOST_SESSIONS = 100
MOST_CORTEX = 0.2
LATER = "followup"
"""The session in which people are followed up."""


@dataclass(frozen=True)
class FollowUp:
    """Who is scanned once more on every scanner, and when.

    years : after the first scans.
    people : how many, the first ones; None: all.
    """

    years: float = 2.0
    people: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.years <= 100:
            raise InputError(
                f"follow_up.years: {self.years!r}; give how many years later people are scanned, above 0 to 100"
            )
        if self.people is not None and not 1 <= self.people <= MOST_SUBJECTS:
            raise InputError(
                f"follow_up.people: {self.people!r}; give how many people, 1 to {MOST_SUBJECTS}, or null for all"
            )


@dataclass(frozen=True)
class MadeUpFollowUp(FollowUp):
    """Of a made-up person: `severity` is what atrophy has grown by, on `people.Subject`'s scale."""

    severity: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.severity <= 1:
            raise InputError(
                f"follow_up.severity: {self.severity!r}; give what atrophy grows by, 0 (nothing changes) to 1"
            )


@dataclass(frozen=True)
class RealFollowUp(FollowUp):
    """Of a real brain: `cortex` is the share of cortical GM that has become CSF (`studies.simulation.atrophy`)."""

    cortex: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.cortex <= MOST_CORTEX:
            raise InputError(
                f"follow_up.cortex: {self.cortex!r}; give the share lost, 0 (nothing changes) to {MOST_CORTEX:g}"
            )


@dataclass(frozen=True)
class ScanOptions:
    """How simulated scans are made, whosever anatomy they are of.

    Attributes
    ----------
    scanners : names out of `physics.yaml`, or mappings of the user's own (`physics.make_scanners`).
    voxel_size_mm : 1 or 2. The anatomy is made at 1 mm in any case.
    seed : of every random number.
    failed_scan : the first subject's scan on the first scanner named GE, or else on the first
        scanner, fails (`physics.yaml`, failed_scan).
    contrast_only : scans without noise, bias, transmit field, point spread and misregistration, so
        that contrast is the only difference between scanners (a check of the calibration).
    missing : (subject, scanner) of scans to leave out.
    sessions : how often a person is scanned on each scanner: the same anatomy with another noise, warp and field.
    rescanned : how many of the people, the first ones, are scanned more than once; None: all.
    scale : what each image is divided by, see `core.images.scale_to_mean`.
    follow_up : who is scanned again years later, with some atrophy (`FOLLOW_UP`, the options that it takes).
    t2 : whether each scan has a T2-weighted image of the same visit beside it; the T1-weighted ones stay as they are.
    variant : of the scanners (`physics.yaml`, variants): how much of RAW's differences is scanner, how much rescan.
    """

    scanners: tuple[str | Mapping[str, Any], ...] = PAPER_SCANNERS
    voxel_size_mm: int = 2
    seed: int = 0
    failed_scan: bool = False
    contrast_only: bool = False
    missing: tuple[tuple[str, str], ...] = ()
    sessions: int = 2
    rescanned: int | None = 3
    scale: Scale = "brain"
    variant: str = CALIBRATED
    t2: bool = False
    follow_up: Mapping[str, Any] | None = None

    FOLLOW_UP: ClassVar[type[FollowUp]] = FollowUp

    def __post_init__(self) -> None:
        self.made_follow_up()
        if self.voxel_size_mm not in (1, 2):
            raise InputError(f"voxel_size_mm: {self.voxel_size_mm!r}; the phantom is made at 1 or 2 mm")
        if self.seed < 0:
            raise InputError(f"seed: {self.seed!r}; give a whole number of 0 or more")
        if not 1 <= self.sessions <= MOST_SESSIONS:
            raise InputError(
                f"sessions: {self.sessions!r}; give how often people are scanned on a scanner, 1 to {MOST_SESSIONS}"
            )
        if self.rescanned is not None and not 0 <= self.rescanned <= MOST_SUBJECTS:
            raise InputError(f"rescanned: {self.rescanned!r}; give how many people, 0 to {MOST_SUBJECTS}")
        if not self.scanners:
            raise InputError("scanners: none; name at least one, such as GE")
        names = [scanner.name for scanner in self.made_scanners()]
        for pair in self.missing:
            if pair[1] not in names:
                raise InputError(f"missing: {list(pair)} names no scanner of this study{nearest(str(pair[1]), names)}")

    def made_scanners(self) -> list[Scanner]:
        """The scanners with all their parameters, in order."""
        return make_scanners(self.scanners, self.variant)

    def made_follow_up(self) -> Any:
        """`follow_up` as one of `FOLLOW_UP`; None where nobody is followed up."""
        return None if self.follow_up is None else make(self.FOLLOW_UP, self.follow_up, "follow_up")

    def follow_up_of(self, subject: str, people: list[str]) -> Any:
        """`made_follow_up` where this subject is among those of the study's `people` who are followed up, else None."""
        found = self.made_follow_up()
        return found if found is not None and subject in people[: found.people] else None

    def scanners_of(self, subject: str) -> list[Scanner]:
        """The scanners on which this subject was scanned."""
        left_out = {scanner for person, scanner in self.missing if person == subject}
        return [scanner for scanner in self.made_scanners() if scanner.name not in left_out]

    def planned(self, people: list[str]) -> list[tuple[str, str, str]]:
        """Subject, scanner and session of every scan of these people; the session of rescans and follow-ups alone."""
        names, left_out = [scanner.name for scanner in self.made_scanners()], set(self.missing)
        again = [str(number) for number in range(2, self.sessions + 1)]
        rescanned = len(people) if self.rescanned is None else self.rescanned
        followed = self.made_follow_up()
        later = people[: followed.people] if followed else []
        return [
            (subject, scanner, session)
            for number, subject in enumerate(people)
            for scanner in names
            if (subject, scanner) not in left_out
            for session in ("", *(again if number < rescanned else []), *([LATER] if subject in later else []))
        ]

    def rescans_of(self, subject: str, people: list[str]) -> list[str]:
        """The sessions of a subject's rescans, `2`, `3`, ...; `people` are the study's."""
        chosen = people if self.rescanned is None else people[: self.rescanned]
        return [str(number) for number in range(2, self.sessions + 1)] if subject in chosen else []

    def check_missing(self, subjects: list[str]) -> None:
        """Refuse a missing scan of somebody who isn't in the study."""
        for subject, scanner in self.missing:
            if subject not in subjects:
                hint = nearest(str(subject), subjects)
                raise InputError(f"missing: ['{subject}', '{scanner}'] names no subject of this study{hint}")

    def failing(self, subjects: list[str]) -> tuple[str, str] | None:
        """(subject, scanner) of the failed scan, or None."""
        if not self.failed_scan:
            return None
        names = [scanner.name for scanner in self.made_scanners()]
        return subjects[0], "GE" if "GE" in names else names[0]


@dataclass(frozen=True)
class PhantomOptions(ScanOptions):
    """A study on made-up people: `ScanOptions` and how many `subjects`, named 01, 02, ..."""

    subjects: int = 6

    FOLLOW_UP: ClassVar[type[FollowUp]] = MadeUpFollowUp

    def __post_init__(self) -> None:
        if not 1 <= self.subjects <= MOST_SUBJECTS:
            raise InputError(f"subjects: {self.subjects!r}; give how many people to make up, 1 to {MOST_SUBJECTS}")
        super().__post_init__()
        self.check_missing(self.subject_ids())

    def subject_ids(self) -> list[str]:
        """The subjects' ids: at least two digits, so that text order is number order."""
        width = max(2, len(str(self.subjects)))
        return [f"{number:0{width}d}" for number in range(1, self.subjects + 1)]
