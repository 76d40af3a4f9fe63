"""What a sheet says of people beside their scans: a column is numbers or text, decided once over the study.

What can't be told is refused with its scan, column and cell, so that no user of covariates takes an age for a group,
or leaves somebody out, without a word.
"""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.errors import InputError
from core.tables import as_number, is_missing, shown

MINUS = "\u2212"
"""What word processors make of a hyphen before a number."""


@dataclass(frozen=True)
class Cell:
    """What a sheet says of one scan: `where` is what errors call the scan, `subject` whose it is."""

    where: str
    subject: str
    text: str


@dataclass(frozen=True)
class Covariate:
    """A column of a sheet, a cell a scan; `numbers` are its cells' where it is one of numbers, NaN where missing."""

    name: str
    cells: tuple[Cell, ...]
    numbers: tuple[float, ...] | None

    @property
    def is_numeric(self) -> bool:
        """Whether it is one of numbers; a column without any value is none."""
        return self.numbers is not None

    @property
    def texts(self) -> tuple[str, ...]:
        """The cells' texts, empty where missing."""
        return tuple("" if is_missing(cell.text) else cell.text for cell in self.cells)

    def check_complete(self) -> None:
        """Refuse a cell that is missing."""
        for cell in self.cells:
            if is_missing(cell.text):
                raise InputError(
                    f"{cell.where}: {self.name} is {shown(cell.text)}, which is no value; fill it in, or leave the "
                    "covariate out"
                )

    def check_numeric(self, remedy: str) -> None:
        """Refuse text."""
        if not self.is_numeric:
            for cell in self.cells:
                if not is_missing(cell.text):
                    raise InputError(f"{cell.where}: {self.name} is {shown(cell.text)}, which is no number; {remedy}")

    def check_range(self, lowest: float, highest: float, remedy: str) -> None:
        """Refuse a number outside `lowest` to `highest`; there is none in text."""
        for cell, number in zip(self.cells, self.numbers or (), strict=False):
            if number < lowest or number > highest:
                raise InputError(
                    f"{cell.where}: {self.name} is {shown(cell.text)}, not from {lowest:g} to {highest:g}; {remedy}"
                )

    def of_people(self) -> dict[str, float] | dict[str, str]:
        """Each person's value: the mean of the numbers of their scans, such as ages, or their one text.

        People without any value are left out. Raises `InputError` for somebody with two texts.
        """
        if self.numbers is not None:
            found: dict[str, list[float]] = {}
            for cell, number in zip(self.cells, self.numbers, strict=True):
                if not math.isnan(number):
                    found.setdefault(cell.subject, []).append(number)
            return {subject: statistics.fmean(numbers) for subject, numbers in found.items()}
        first: dict[str, Cell] = {}
        for cell in self._known():
            other = first.setdefault(cell.subject, cell)
            if other.text != cell.text:
                raise InputError(
                    f"{cell.where}: {self.name} of subject '{cell.subject}' is {shown(cell.text)}, and "
                    f"{shown(other.text)} in {other.where}; give one value a person, or choose another column"
                )
        return {subject: cell.text for subject, cell in first.items()}

    def _known(self) -> Iterator[Cell]:
        return (cell for cell in self.cells if not is_missing(cell.text))


def column_names(text: str) -> list[str]:
    """The columns that a method's parameter names, separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def read_covariate(name: str, cells: Iterable[Cell]) -> Covariate:
    """A column as numbers, where all cells but missing ones are, or else as text.

    Raises `InputError`, naming scan, column and cell, for a word among numbers or a number among words, for a number
    that is written otherwise than 61.5 (61,5, 1_000, other digits) or isn't finite, and for two texts that look alike.
    """
    cells = tuple(cells)
    known = [cell for cell in cells if not is_missing(cell.text)]
    for cell in known:
        if as_number(cell.text) is None and _means_a_number(cell.text):
            raise InputError(
                f"{cell.where}: {name} is {shown(cell.text)}; write a number as 61.5, and n/a where it isn't known"
            )
    words = [cell for cell in known if as_number(cell.text) is None]
    if known and not words:
        return Covariate(name, cells, tuple(_number_or_nan(cell.text) for cell in cells))
    if len(words) < len(known):
        _refuse_mixture(name, known, words)
    _check_told_apart(name, words)
    return Covariate(name, cells, None)


def _number_or_nan(text: str) -> float:
    number = as_number(text)
    return math.nan if number is None else number


def _means_a_number(text: str) -> bool:
    """Whether a text would be a number with a point for its comma, without commas, or as Python reads it."""
    for variant in (text.replace(",", "."), text.replace(",", "")):
        try:
            float(variant.replace(MINUS, "-").replace("'", ""))
        except ValueError:
            continue
        return True
    return False


def _refuse_mixture(name: str, known: list[Cell], words: list[Cell]) -> None:
    """Name the first cell of what is rarer in a column, words or numbers."""
    numbers = [cell for cell in known if as_number(cell.text) is not None]
    if len(words) <= len(numbers):
        raise InputError(
            f"{words[0].where}: {name} is {shown(words[0].text)}, where {len(numbers)} of {len(known)} cells are "
            "numbers; write a number as 61.5, and n/a where it isn't known"
        )
    raise InputError(
        f"{numbers[0].where}: {name} is the number {shown(numbers[0].text)}, where {len(words)} of {len(known)} cells "
        "are words; write a word, and n/a where it isn't known"
    )


def _check_told_apart(name: str, words: list[Cell]) -> None:
    """Refuse texts that differ in case, spaces or what can't be seen alone."""
    first: dict[str, Cell] = {}
    for cell in words:
        plain = unicodedata.normalize("NFKC", cell.text).casefold()
        seen = "".join(c for c in plain if unicodedata.category(c) != "Cf" and not c.isspace())
        other = first.setdefault(seen, cell)
        if other.text != cell.text:
            raise InputError(
                f"{cell.where}: {name} is {cell.text!a}, and {other.text!a} in {other.where}, which look "
                "alike; write one of them in both"
            )
