"""Scans and the study that they make up: the same people on several scanners, all on one grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np

from core import left_out
from core.brain import brain_of
from core.covariates import Cell, Covariate, read_covariate
from core.errors import InputError, nearest
from core.files import stamp
from core.images import load_on_grid, scale_to_mean, to_mask
from core.names import Scale
from core.nifti import NiftiFile, open_nifti
from core.run_folder import scan_name
from core.tables import is_missing


@lru_cache(maxsize=1)
def _read_scan(image: Path, mask: Path, *stamps: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """An image (X, Y, Z), float32, and its brain, bool; `stamps` are those of the files, which may be written anew."""
    opened = open_nifti(image)
    voxels = opened.read()
    whole = to_mask(load_on_grid(mask, opened.shape, opened.affine, str(image)), mask)
    return voxels, brain_of(voxels, whole, f"{mask}, the mask of {image}")


@dataclass(frozen=True)
class Scan:
    """One image of one subject on one scanner, on the study's grid.

    `scale` is applied whenever the image is read (see `core.images.scale_to_mean`). `folder` is the
    sheet's, from which paths in its further columns count. `session` is what the sheet calls the visit; a scan
    of a subject on a scanner that isn't the sheet's first one is a `rescan`. `time` is how many years after the
    person's first scan it is from; above 0 it is a follow-up. `t2` is its T2-weighted image, where it has one. `row` is
    where the sheet has it, for errors.
    """

    subject: str
    scanner: str
    image: Path
    mask: Path
    covariates: Mapping[str, str] = field(default_factory=dict)
    scale: Scale = "none"
    folder: Path = Path()
    session: str = ""
    rescan: bool = False
    time: float = 0.0
    t2: Path | None = None
    row: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The stem of every file made from this scan, see `core.run_folder.scan_name`."""
        return scan_name(self.subject, self.scanner, self.visit)

    @property
    def visit(self) -> str:
        """The session by which names tell it from the scan: that of a rescan or follow-up, of others nothing."""
        return self.session if self.rescan or self.time else ""

    def read(self) -> np.ndarray:
        """The image (X, Y, Z), float32, on the study's scale, 0 outside the brain."""
        image, brain = self._read()
        return scale_to_mean(image, brain, self.scale)

    def read_t2(self) -> np.ndarray | None:
        """The T2-weighted image (X, Y, Z), float32, divided by its own mean as `read` does; None without one."""
        if self.t2 is None:
            return None
        try:
            return scale_to_mean(self.load(self.t2), self._read()[1], self.scale)
        except InputError as error:
            raise error if str(self.t2) in str(error) else InputError(f"{self.t2}: {error}") from None

    def read_mask(self) -> np.ndarray:
        """The brain (X, Y, Z), bool: the mask's voxels that aren't the image's background (`core.brain`)."""
        return self._read()[1].copy()

    def load(self, path: Path) -> np.ndarray:
        """Another image (X, Y, Z), float32, which must lie on this scan's grid."""
        return load_on_grid(path, self.shape, self.affine, self.name)

    def file(self, column: str) -> Path | None:
        """The file that a further column of the sheet names, such as truth_image; None where it names none."""
        name = self.covariates.get(column, "")
        return None if is_missing(name) else self.folder / name

    def cell(self, column: str) -> Cell:
        """What the sheet says of it in a further column, for `core.covariates`."""
        where = f"{self.row} ({self.name})" if self.row else self.name
        return Cell(where, self.subject, self.covariates.get(column, ""))

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        """The image and the brain, kept until another scan is read: they are mostly asked for in turn."""
        return _read_scan(self.image, self.mask, *(stamp(file) for file in (self.image, self.mask)))

    @property
    def affine(self) -> np.ndarray:
        """Voxel to mm, (4, 4)."""
        return self.opened.affine

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        x, y, z = self.opened.shape
        return x, y, z

    @cached_property
    def opened(self) -> NiftiFile:
        """The image's file, of which its header has been read."""
        return open_nifti(self.image)


@dataclass(frozen=True)
class Study:
    """Scans of the same people on several scanners, all on one grid. A missing scan is allowed.

    `scans` holds one scan of a subject on a scanner; `rescans` further ones of the same subject on the same
    scanner, which no pair of scanners is made of and nothing is fitted on: what differs between a scan and a
    rescan is no scanner's doing. `follow_ups` are scans of a later time, when the people themselves have changed:
    no pair is made of them, and nothing fitted on them but a method that knows of time.
    """

    scans: tuple[Scan, ...]
    rescans: tuple[Scan, ...] = ()
    follow_ups: tuple[Scan, ...] = ()

    @cached_property
    def subjects(self) -> list[str]:
        """Subjects in the order of the sheet."""
        return list(dict.fromkeys(scan.subject for scan in self.scans))

    @cached_property
    def scanners(self) -> list[str]:
        """Scanners in the order in which every subject's rows name them.

        A first subject who misses a scan doesn't change it; where subjects disagree, it is the order of
        first appearance.
        """
        before: dict[str, set[str]] = {scan.scanner: set() for scan in self.scans}
        for subject in self.subjects:
            for first, second in itertools.pairwise(self.of_subject(subject)):
                before[second.scanner].add(first.scanner)
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError:
            return list(before)

    @cached_property
    def left_out(self) -> str:
        """The scanner that no fit sees, where the sheet names one (`core.left_out`)."""
        return left_out.marked((scan.scanner, scan.covariates.get(left_out.COLUMN)) for scan in self.scans)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every pair of scanners, in the order of the scanners; of a scanner left out, those that it is in."""
        return left_out.pairs_of(self.scanners, self.left_out)

    @property
    def session_pairs(self) -> list[tuple[str, str]]:
        """Pairs of sessions, in their order, of which a person's scans on one scanner are compared."""
        return list(itertools.combinations(sorted({scan.session for scan in self.every}), 2))

    @property
    def every(self) -> tuple[Scan, ...]:
        """All scans, then all rescans, then all follow-ups."""
        return self.scans + self.rescans + self.follow_ups

    def without_follow_ups(self) -> Study:
        """The study at time 0, which most fits see."""
        return Study(self.scans, self.rescans)

    def visits(self) -> list[Study]:
        """The study as it was at each visit, as if that was all there is.

        First scans, first rescans, second ones, and so on, then first follow-ups, second ones, and so on.
        """
        groups = [self.scans, *_nth_of_each(self.rescans), *_nth_of_each(self.follow_ups)]
        return [Study(group) for group in groups]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis of the common grid."""
        return self.scans[0].shape

    @property
    def affine(self) -> np.ndarray:
        """Voxel to mm of the common grid, (4, 4)."""
        return self.scans[0].affine

    @cached_property
    def _by_id(self) -> dict[tuple[str, str], Scan]:
        return {(scan.subject, scan.scanner): scan for scan in self.scans}

    def find(self, subject: str, scanner: str) -> Scan | None:
        """The scan of `subject` on `scanner`, or None where there is none."""
        return self._by_id.get((subject, scanner))

    @cached_property
    def _by_subject(self) -> dict[str, list[Scan]]:
        found: dict[str, list[Scan]] = {}
        for scan in self.scans:
            found.setdefault(scan.subject, []).append(scan)
        return found

    def of_subject(self, subject: str) -> list[Scan]:
        """This subject's scans."""
        return self._by_subject.get(subject, [])

    def rescans_of(self, subject: str) -> list[Scan]:
        """This subject's rescans."""
        return [scan for scan in self.rescans if scan.subject == subject]

    def of_scanner(self, scanner: str) -> list[Scan]:
        """This scanner's scans."""
        return [scan for scan in self.scans if scan.scanner == scanner]

    def select(self, subjects: Iterable[str]) -> Study:
        """The study of these subjects only; raises `InputError` for one that isn't in it."""
        wanted = set(subjects)
        for unknown in sorted(wanted - set(self.subjects)):
            raise InputError(f"subject '{unknown}' is not in the sheet{nearest(unknown, self.subjects)}")
        return self.where(lambda scan: scan.subject in wanted)

    def where(self, chosen: Callable[[Scan], bool]) -> Study:
        """The study of the scans, rescans and follow-ups that are chosen."""
        return Study(*(tuple(filter(chosen, part)) for part in (self.scans, self.rescans, self.follow_ups)))

    def covariate(self, name: str) -> Covariate:
        """One covariate of every scan, in the order of `scans`.

        Raises `InputError` if the sheet hasn't it, or it is neither numbers nor text, see `core.covariates`.
        """
        known = set().union(*(scan.covariates for scan in self.scans))
        if name not in known:
            raise InputError(f"the sheet has no column '{name}'{nearest(name, known)}")
        return read_covariate(name, (scan.cell(name) for scan in self.scans))


def _nth_of_each(scans: Iterable[Scan]) -> list[tuple[Scan, ...]]:
    """The first scans of each subject on each scanner, the second ones, and so on."""
    groups: list[list[Scan]] = []

    def whose(scan: Scan) -> tuple[str, str]:
        return scan.subject, scan.scanner

    for _, of_one in itertools.groupby(sorted(scans, key=whose), key=whose):
        for number, scan in enumerate(of_one):
            if number == len(groups):
                groups.append([])
            groups[number].append(scan)
    return [tuple(group) for group in groups]
