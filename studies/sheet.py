"""The sheet `scans.tsv`: which scan is of whom, from which scanner, and where it lies."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
import pandas as pd

from studies.errors import InputError, nearest
from studies.files import write_table
from studies.images import AFFINE_TOLERANCE_MM, Scale, check_is_file, load_image, load_mask, open_image, scale_to_mean

REQUIRED = ("subject", "scanner", "image", "mask")
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}")


def is_path(column: str, cell: str) -> bool:
    """Whether a cell of a sheet is a path: in `image`, `mask` and the columns that begin with `truth_`."""
    return (column in ("image", "mask") or column.startswith("truth_")) and cell not in ("", "n/a")


def moved(column: str, cell: str, old: Path, new: Path) -> str:
    """A cell of a sheet in the folder `old` for one in `new`: paths lead to the same files, other cells stay."""
    return os.path.relpath(old / cell, new) if is_path(column, cell) else cell


@dataclass(frozen=True)
class Scan:
    """One image of one subject on one scanner, on the study's grid.

    `scale` is applied whenever the image is read (see `studies.images.scale_to_mean`).  `folder` is the
    sheet's, from which paths in its further columns count.
    """

    subject: str
    scanner: str
    image: Path
    mask: Path
    covariates: Mapping[str, str] = field(default_factory=dict)
    scale: Scale = "none"
    folder: Path = Path()

    @property
    def name(self) -> str:
        """The stem of every file made from this scan: `sub-<subject>_scanner-<scanner>`."""
        return scan_name(self.subject, self.scanner)

    def read(self) -> np.ndarray:
        """The image (X, Y, Z), float32, on the study's scale, 0 outside the mask."""
        return scale_to_mean(load_image(self.image)[0], self.read_mask(), self.scale)

    def read_mask(self) -> np.ndarray:
        """The brain mask (X, Y, Z), bool."""
        return load_mask(self.mask)[0]

    def file(self, column: str) -> Path | None:
        """The file that a further column of the sheet names, such as truth_image; None where it names none."""
        name = self.covariates.get(column, "")
        return self.folder / name if name not in ("", "n/a") else None

    @cached_property
    def affine(self) -> np.ndarray:
        """Voxel to mm, (4, 4)."""
        return np.array(open_image(self.image).affine, dtype=np.float64)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return tuple(open_image(self.image).shape[:3])


@dataclass(frozen=True)
class Study:
    """Scans of the same people on several scanners, all on one grid.  A missing scan is allowed."""

    scans: tuple[Scan, ...]

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

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every pair of scanners, in the order of the scanners."""
        return list(itertools.combinations(self.scanners, 2))

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

    def of_scanner(self, scanner: str) -> list[Scan]:
        """This scanner's scans."""
        return [scan for scan in self.scans if scan.scanner == scanner]

    def select(self, subjects: Iterable[str]) -> Study:
        """The study of these subjects only; raises `InputError` for one that isn't in it."""
        wanted = set(subjects)
        for unknown in sorted(wanted - set(self.subjects)):
            raise InputError(f"subject '{unknown}' is not in the sheet{nearest(unknown, self.subjects)}")
        return Study(tuple(scan for scan in self.scans if scan.subject in wanted))

    def covariate(self, name: str) -> list[str]:
        """One covariate of every scan, in the order of `scans`; raises `InputError` if the sheet hasn't it."""
        known = set().union(*(scan.covariates for scan in self.scans))
        if name not in known:
            raise InputError(f"the sheet has no column '{name}'{nearest(name, known)}")
        return [scan.covariates.get(name, "") for scan in self.scans]


def scan_name(subject: str, scanner: str) -> str:
    """The stem of every file made from a scan: `sub-<subject>_scanner-<scanner>`."""
    return f"sub-{subject}_scanner-{scanner}"


def check_id(value: str, where: str) -> str:
    """Refuse an id that could not be part of a file's name (slashes, shell characters, over 64 long)."""
    if not SAFE_ID.fullmatch(value) or value != value.strip():
        raise InputError(
            f"{where}: '{value[:80]}' cannot be an id; use up to 64 letters, digits, '.', '_', '+', '-' "
            "or inner spaces, beginning with a letter or digit"
        )
    return value


def require_two_of_each(subjects: Iterable[str], scanners: Iterable[str], where: str) -> None:
    """Refuse a study run of fewer than two subjects or scanners."""
    for what, found in (("subject", set(subjects)), ("scanner", set(scanners))):
        if len(found) < 2:
            raise InputError(
                f"{where}: {len(found)} {what}{'' if len(found) == 1 else 's'}; a study run compares at least "
                f"2 subjects on at least 2 scanners: add scans, or use `python -m baselines` on single scans"
            )


def read_rows(path: Path | str) -> pd.DataFrame:
    """Read the sheet's rows as text and check ids and duplicates, without opening an image."""
    path = Path(path)
    check_is_file(path)
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a tab-separated table ({str(error).strip()})") from None
    if not isinstance(table.index, pd.RangeIndex):
        # pandas takes columns without a name for an index, which would move all others by one
        raise InputError(f"{path}: its rows have more fields than its header has names; name every column")
    for column in REQUIRED:
        if column not in table.columns:
            raise InputError(f"{path}: no column '{column}'; it needs {', '.join(REQUIRED)}, separated by tabs")
    if table.empty:
        raise InputError(f"{path}: no scans; give a row a scan")
    for row, (subject, scanner) in enumerate(zip(table["subject"], table["scanner"], strict=True), start=2):
        check_id(subject, f"{path}, row {row}, column subject")
        check_id(scanner, f"{path}, row {row}, column scanner")
    doubled = table.duplicated(["subject", "scanner"])
    if doubled.any():
        row = int(np.flatnonzero(doubled)[0])
        raise InputError(
            f"{path}, row {row + 2}: subject '{table['subject'][row]}' on scanner '{table['scanner'][row]}' "
            "stands there a second time; keep one row a scan"
        )
    names = pd.Series([scan_name(*ids) for ids in zip(table["subject"], table["scanner"], strict=True)])
    if names.duplicated().any():
        # subject "a", scanner "b_scanner-c" and subject "a_scanner-b", scanner "c"
        row = int(np.flatnonzero(names.duplicated())[0])
        raise InputError(f"{path}, row {row + 2}: its files would have another row's names, {names[row]}; rename it")
    return table


def read_sheet(path: Path | str, *, scale: Scale = "none", check: bool = True) -> Study:
    """Read and validate a sheet; paths in it are relative to it.

    With `check`, every image and mask is opened and read once: refused are an absent or unreadable
    file, a shape or affine that differs from the first scan's, a mask that is empty or not 0/1, NaN or
    infinite voxels in the brain, and an all-constant image.  Raises `InputError` naming file and row.
    """
    path = Path(path)
    table = read_rows(path)
    covariates = [column for column in table.columns if column not in REQUIRED]
    scans = tuple(
        Scan(
            subject=row["subject"],
            scanner=row["scanner"],
            image=path.parent / row["image"],
            mask=path.parent / row["mask"],
            covariates={column: row[column] for column in covariates},
            scale=scale,
            folder=path.parent,
        )
        for row in table.to_dict("records")
    )
    if check:
        for number, scan in enumerate(scans, start=2):
            check_scan(scan, scans[0], f"{path}, row {number}")
    return Study(scans)


def check_scan(scan: Scan, first: Scan, where: str) -> None:
    """Refuse a scan that cannot be used beside `first`; `where` begins every message."""
    try:
        voxels, affine = load_image(scan.image)
        mask, mask_affine = load_mask(scan.mask)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    check_grid(scan.image, voxels.shape, affine, first, where)
    check_grid(scan.mask, mask.shape, mask_affine, first, where)
    brain = voxels[mask]
    broken = int(np.count_nonzero(~np.isfinite(brain)))
    if broken:
        raise InputError(
            f"{where}: {scan.image} has {broken} NaN or infinite voxels in the brain; repair it or leave the row out"
        )
    if brain.min() == brain.max():
        raise InputError(
            f"{where}: {scan.image} is {brain[0]:g} everywhere in the brain; is it the right file? Leave the row out"
        )


def check_grid(path: Path, shape: tuple[int, ...], affine: np.ndarray, first: Scan, where: str) -> None:
    """Refuse a file whose shape or affine is not that of the study's first scan."""
    if tuple(shape) != first.shape:
        raise InputError(
            f"{where}: {path} has shape {tuple(shape)}, the first scan {first.shape}; resample it onto the common grid"
        )
    difference = float(np.abs(affine - first.affine).max())
    if difference > AFFINE_TOLERANCE_MM:
        raise InputError(
            f"{where}: the affine of {path} differs from the first scan's by up to {difference:g}; "
            "resample it onto the common grid"
        )


def write_sheet(path: Path | str, study: Study, *, absolute: bool = False) -> None:
    """Write a study's sheet, with paths relative to the folder it is written into, or in full."""
    path = Path(path)

    def written(file: Path) -> str:
        return str(file.resolve()) if absolute else os.path.relpath(file, path.parent)

    rows = [
        {
            "subject": scan.subject,
            "scanner": scan.scanner,
            "image": written(scan.image),
            "mask": written(scan.mask),
            **{
                column: written(scan.folder / cell) if is_path(column, cell) else cell
                for column, cell in scan.covariates.items()
            },
        }
        for scan in study.scans
    ]
    write_table(path, pd.DataFrame(rows))
