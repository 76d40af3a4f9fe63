"""Covariates that methods keep: which columns, as what numbers, and whether a model can tell them apart."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.covariates import Covariate, column_names
from core.errors import InputError, nearest
from core.study import Scan, Study
from core.tables import as_number, shown

TOLD_APART = 1e-9
"""Of the eigenvalues of a design's normal matrix the least over the largest at which its columns are independent."""


def read_columns(names: str, study: Study, method: str) -> list[Covariate]:
    """The columns of a sheet that a parameter names, comma separated.

    Raises `InputError` for one that isn't there, has a missing value, or is neither numbers nor text. One that is the
    same in all scans says nothing about them; that is told.
    """
    found = [study.covariate(name) for name in column_names(names)]
    for covariate in found:
        covariate.check_complete()
        if is_constant(covariate):
            value = covariate.cells[0].text
            print(f"{method}: {covariate.name} is {shown(value)} in every scan, so it is left out", file=sys.stderr)
    return found


def is_constant(covariate: Covariate) -> bool:
    """Whether a column is one number, or text, in all scans."""
    return len(set(covariate.numbers or covariate.texts)) == 1


@dataclass(frozen=True)
class Coding:
    """How covariates become numbers: numeric ones centered and in SDs, others one column a level but the first.

    columns: for each covariate {"name", "mean", "deviation"} or {"name", "levels"}; a deviation of 0, or a single
    level, is one of a covariate that didn't vary, which has no column.
    """

    columns: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, covariates: Sequence[Covariate]) -> Coding:
        """The coding that a study's values ask for."""
        columns: list[dict[str, Any]] = []
        for covariate in covariates:
            if covariate.numbers is None:
                columns.append({"name": covariate.name, "levels": sorted(set(covariate.texts))})
                continue
            numbers = np.array(covariate.numbers)
            mean, deviation = (numbers[0], 0.0) if is_constant(covariate) else (numbers.mean(), numbers.std())
            columns.append({"name": covariate.name, "mean": float(mean), "deviation": float(deviation)})
        return cls(tuple(columns))

    def code(self, scan: Scan) -> np.ndarray:
        """A scan's covariates (c,). Raises `InputError` for one it lacks, or that isn't like those fitted."""
        return np.concatenate([np.zeros(0), *(_coded(column, scan) for column in self.columns)])

    def of_scans(self, scans: Sequence[Scan]) -> np.ndarray:
        """The covariates of scans (n, c)."""
        return np.array([self.code(scan) for scan in scans])

    def parts(self) -> list[tuple[str, int]]:
        """Each covariate's name and how many of the columns are its."""
        return [
            (column["name"], len(column["levels"]) - 1 if "levels" in column else int(column["deviation"] > 0))
            for column in self.columns
        ]


def _coded(column: Mapping[str, Any], scan: Scan) -> np.ndarray:
    """A scan's covariate as its columns."""
    cell = scan.cell(column["name"])
    if "levels" in column:
        levels = column["levels"]
        if cell.text not in levels:
            raise InputError(
                f"{cell.where}: {column['name']} is {shown(cell.text)}, and no scan that was fitted was so"
                f"{nearest(cell.text, levels)}; correct it, or fit with scans of that kind"
            )
        return np.array([float(cell.text == level) for level in levels[1:]])
    number = as_number(cell.text)
    if number is None:
        raise InputError(f"{cell.where}: {column['name']} is {shown(cell.text)}; write a number as 61.5")
    if column["deviation"]:
        return np.array([(number - column["mean"]) / column["deviation"]])
    if not np.isclose(number, column["mean"]):
        raise InputError(
            f"{cell.where}: {column['name']} is {number:g}, and was {column['mean']:g} in all scans that were fitted; "
            "fit with scans that differ in it, or leave the covariate out"
        )
    return np.zeros(0)


def check_told_apart(scanners: np.ndarray, covariates: np.ndarray, coding: Coding, method: str) -> None:
    """Refuse covariates that no model can tell from the scanners, or from each other.

    From each scan's scanner as columns of 0 and 1 (n, m), and its covariates (n, c). Raises `InputError` naming the
    covariate, and what it can't be told from.
    """
    design, start = scanners, 0
    earlier: list[str] = []
    for name, count in coding.parts():
        own = covariates[:, start : start + count]
        start += count
        design = np.hstack([design, own])
        if count and design.shape[1] >= len(design):
            raise InputError(
                f"{method}: {len(design)} scans are too few for {scanners.shape[1]} scanners and the covariates up to "
                f"'{name}', which take {design.shape[1] - scanners.shape[1]} columns; leave some out"
            )
        if not _independent(np.hstack([scanners, own])):
            raise InputError(
                f"{method}: the covariate '{name}' can't be told from the scanners: some of its values go with a "
                "scanner, so that removing the scanner's effect removes its own; leave it out"
            )
        if not _independent(design):
            raise InputError(
                f"{method}: the covariate '{name}' follows from {' and '.join(earlier)} and the scanner; leave one of "
                "them out"
            )
        earlier += [f"'{name}'"] if count else []


def coded_times(
    scanners: np.ndarray, covariates: np.ndarray, coding: Coding, scans: Sequence[Scan], method: str
) -> tuple[np.ndarray, np.ndarray]:
    """Time, and time by group, as columns (n, 1 + g), and which of the columns of covariates (c,) time goes by.

    Time is in years since the person's first scan; groups are those of the covariates that aren't numbers, where
    somebody of every group was followed up, which is told of others. From each scan's scanner as columns of 0 and 1
    (n, m) and its covariates (n, c). Raises `InputError` where no model can tell time from them.
    """
    by_group = np.zeros(covariates.shape[1], dtype=bool)
    start = 0
    for column, (name, count) in zip(coding.columns, coding.parts(), strict=True):
        if "levels" in column and count:
            without = set(column["levels"]) - {scan.cell(name).text for scan in scans if scan.time}
            by_group[start : start + count] = not without
            if without:
                print(
                    f"{method}: nobody of {name} {', '.join(sorted(without))} was followed up, so time is one for all "
                    "its groups",
                    file=sys.stderr,
                )
        start += count
    times = time_columns(np.array([scan.time for scan in scans]), covariates, by_group)
    design = np.hstack([scanners, covariates, times])
    if design.shape[1] >= len(design) or not _independent(design):
        names = " and ".join([*(f"'{column['name']}'" for column in coding.columns), "the scanner"])
        raise InputError(
            f"{method}: time since the first scan can't be told from {names} in these {len(design)} scans; leave "
            "covariates out, or follow more people up"
        )
    return times, by_group


def time_columns(times: np.ndarray, covariates: np.ndarray, by_group: np.ndarray) -> np.ndarray:
    """Times (n,) as columns (n, 1 + g): themselves, and their products with the chosen columns of covariates (n, c)."""
    return times[:, None] * np.hstack([np.ones((len(times), 1)), covariates[:, by_group]])


def _independent(design: np.ndarray) -> bool:
    """Whether no column of a design (n, k) follows from the others, by the measure that a voxel's fit takes."""
    eigenvalues = np.linalg.eigvalsh(design.T @ design)
    return bool(eigenvalues[0] > TOLD_APART * eigenvalues[-1])
