"""A grid of pictures, rows arms and columns scanners, which several figures share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from evaluation.figures import style
from evaluation.figures.media import medium

MOST_SCANNERS = 8
NARROWEST = 0.5
"""Inches that a slice needs."""

SCALE_WIDTH = 0.05
"""Width of a row's scale as a share of a picture's."""


def most_scanners() -> int:
    """How many scanners' pictures stand beside each other."""
    on = medium()
    return min(MOST_SCANNERS, int((on.width - _names_margin() - on.scaled(0.6)) / NARROWEST))


def layout(
    title: str,
    *,
    arms: Sequence[str],
    scanners: Sequence[str],
    ratio: float,
    widest: float,
    under: float = 0.0,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> tuple[style.Page, np.ndarray]:
    """A page with a place for each arm's picture of each scanner, and one for a scale at the end of each row.

    `ratio` is a picture's height over its width, `widest` the report's inches for one, `under` those for a line below
    each. Returns the page and its axes (arms, scanners + 1), named at the top and on the left.
    """
    on = medium()
    gaps = 2 * on.gap + 0.04
    line = on.scaled(under)
    tallest = (on.tallest - on.scaled(1.2)) / len(arms) - 0.09 - line
    margin = _names_margin() + on.scaled(0.6)
    side = min(on.scaled(widest), (on.width - margin) / len(scanners), tallest / ratio + gaps)
    figure = style.page(
        title,
        height=len(arms) * ((side - gaps) * ratio + 0.09 + line) + on.scaled(0.3),
        simulated=simulated,
        notes=notes,
        width=max(5.0, side * len(scanners) + margin) if on.titled else side * len(scanners) + margin,
    )
    grid = figure.subplots(
        len(arms),
        len(scanners) + 1,
        squeeze=False,
        gridspec_kw={"width_ratios": [1.0] * len(scanners) + [SCALE_WIDTH], "wspace": 0.02},
    )
    for scanner, axis in zip(scanners, grid[0], strict=False):
        axis.set_title(style.fit_lines(scanner, side - 0.1, 3, on.text + 0.5, "bold"))
    for arm, axis in zip(arms, grid[:, 0], strict=True):
        _write_name(axis, arm, (side - gaps) * ratio)
    return figure, grid


def _names_margin() -> float:
    """Inches that the arms' names take: a line or two upright in the report, lines beside the slices on paper."""
    return 0.4 if medium().titled else 0.75


def _write_name(axis: Axes, arm: str, inches: float) -> None:
    """An arm's name at the left of its row of `inches`."""
    on = medium()
    if on.titled:
        axis.set_ylabel(style.fit_lines(arm, inches, 2, on.text, "bold"), weight="bold")
    else:
        lines = max(1, int(inches / (1.25 * on.small / 72)))
        name = style.fit_lines(arm, _names_margin() - 0.13, lines, on.small, "bold")
        axis.set_ylabel(name, weight="bold", fontsize=on.small, rotation=0, ha="right", va="center")
