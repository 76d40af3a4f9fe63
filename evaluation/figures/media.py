"""Where a figure is to be seen: in the report, or in a column or across the page of a paper.

A figure is laid out for the medium it is drawn on, so that its letters have the size they are printed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Medium:
    """A kind of page: its width and the most height a figure may take, in inches, and sizes of type in points.

    With `titled` the title, the mark "simulated" and the footnote stand in the picture; without it they belong to
    the caption. `gap` is what is left free on either side of a panel, in inches.
    """

    name: str
    width: float
    tallest: float
    text: float
    small: float
    tiny: float
    gap: float
    titled: bool

    def scaled(self, inches: float) -> float:
        """What is so high in the report, as high as this medium's type makes it."""
        return inches * self.text / REPORT.text

    def panel_height(self, inches: float, panels: int) -> float | None:
        """How high each of `panels` one below the other is: as `inches` in the report, lower where they are many.

        None where they can't be on one page and still be read.
        """
        room = self.tallest - self.scaled(ROOM_FOR_LEGEND)
        wanted = self.scaled(inches)
        return next((high for high in (wanted, room / panels) if LOWEST * wanted <= high <= room / panels), None)


ROOM_FOR_LEGEND = 2.0
"""Inches of the report's height that are left for what isn't panels."""

LOWEST = 0.65
"""A panel may be so much lower than it is meant to be."""

REPORT = Medium("report", width=9.0, tallest=16.0, text=8.5, small=7.5, tiny=6.5, gap=0.08, titled=True)
COLUMN = Medium("column", width=3.3, tallest=9.0, text=7.0, small=6.0, tiny=6.0, gap=0.03, titled=False)
PAGE = Medium("page", width=7.0, tallest=9.0, text=7.0, small=6.0, tiny=6.0, gap=0.04, titled=False)
PAPER = (COLUMN, PAGE)
"""A column and the page of a journal or of the proceedings that the paper is in (3.3 and 7 inches)."""

_medium: ContextVar[Medium] = ContextVar("medium", default=REPORT)


def medium() -> Medium:
    """What is drawn on now; the report, unless `on` says otherwise."""
    return _medium.get()


@contextmanager
def on(chosen: Medium) -> Iterator[None]:
    """Draw on another medium."""
    token = _medium.set(chosen)
    try:
        yield
    finally:
        _medium.reset(token)
