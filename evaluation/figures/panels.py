"""Panels that several figures share: grouped bars, grouped boxes, dots with intervals, and slices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from evaluation.figures import style
from evaluation.figures.media import medium
from evaluation.figures.style import Look

BARS_WITH_NUMBERS = 32


def a_row(inches: float) -> int:
    """How many bars or boxes a row across the page has room for, each `inches` wide in the report."""
    on = medium()
    return int((on.width - on.scaled(AXIS)) / on.scaled(inches))


AXIS = 0.8
"""Inches of a row in the report that its axis and the margins take."""


def some(names: Sequence[str], most: int, what: str) -> tuple[list[str], list[str]]:
    """At most so many names, evenly from the first to the last, and a sentence that says so if some are left out."""
    if len(names) <= most:
        return list(names), []
    places = np.linspace(0, len(names) - 1, most).round().astype(int)
    return [names[place] for place in places], [
        f"{most} of {len(names)} {what} are shown, evenly from the first to the last in the sheet."
    ]


def chunks(count: int, largest: int) -> list[range]:
    """Split `count` items into rows of at most `largest`, as even as can be."""
    rows = max(1, -(-count // max(1, largest)))
    edges = np.linspace(0, count, rows + 1).round().astype(int)
    return [range(start, stop) for start, stop in itertools.pairwise(edges)]


def grouped_bars(
    axis: Axes,
    heights: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    looks: Sequence[Look],
    stars: np.ndarray | None = None,
    decimals: int = 2,
) -> np.ndarray:
    """Draw bars (groups, methods) with whiskers from `low` to `high`; NaN draws nothing.

    `stars` (groups, methods), bool, marks bars; as long as there are few bars each has its height
    written in it, or above it where it is short.
    Returns the groups' places on the x axis.
    """
    groups, arms = heights.shape
    places = np.arange(groups, dtype=float)
    width = 0.84 / max(arms, 1)
    on = medium()
    inches = width * (on.width - on.scaled(AXIS)) / groups
    numbered = groups * arms <= BARS_WITH_NUMBERS and inches > 1.25 * on.tiny / 72
    top = np.nanmax(np.where(np.isfinite(high), high, heights), initial=0.0)
    for column, look in enumerate(looks):
        x = places - 0.42 + width * (column + 0.5)
        drawn = np.isfinite(heights[:, column])
        axis.bar(
            x[drawn],
            heights[drawn, column],
            width * 0.92,
            color=look.color,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0,
            zorder=2,
        )
        ranged = drawn & np.isfinite(low[:, column]) & np.isfinite(high[:, column])
        axis.vlines(x[ranged], low[ranged, column], high[ranged, column], color=style.INK, linewidth=0.9, zorder=3)
        for row in np.flatnonzero(drawn):
            highest = high[row, column] if ranged[row] else heights[row, column]
            star = "*" if stars is not None and stars[row, column] else ""
            number = f"{heights[row, column]:.{decimals}f}" if numbered else ""
            inside = heights[row, column] > 0.22 * top
            if number and inside:
                color = "white" if is_dark(look.color) else style.INK
                place, offset = (x[row] - width * 0.24, 0), 3
                _write_upright(axis, number, place, offset, color=color)
            elif number:
                _write_upright(axis, number, (x[row], highest), 2 if not star else 9, color=style.INK)
            if star:
                axis.annotate(
                    star,
                    (x[row], highest),
                    xytext=(0, -1.5),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=on.text + 1.5,
                    zorder=4,
                )
    axis.set_xlim(-0.5, groups - 0.5)
    axis.set_ylim(0, top * 1.12 if top > 0 else 1)
    axis.grid(False, axis="x")
    axis.set_xticks(places)
    return places


def _write_upright(axis: Axes, text: str, place: tuple[float, float], offset: float, *, color: str) -> None:
    axis.annotate(
        text,
        place,
        xytext=(0, offset),
        textcoords="offset points",
        ha="center",
        va="bottom",
        rotation=90,
        fontsize=medium().tiny,
        color=color,
        zorder=4,
    )


def is_dark(color: str) -> bool:
    """Whether white type reads better than black on a color (#rrggbb)."""
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140


def grouped_boxes(
    axis: Axes,
    values: np.ndarray,
    *,
    looks: Sequence[Look],
    people: Sequence[str] = (),
    join: bool = True,
    dots: bool = True,
    gap: float = 0.9,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw boxes for values (groups, subjects, members), a look a group, `gap` boxes apart; NaN is left out.

    Points are subjects, whom `people` names in order, and with `join` a line joins one subject's points within a group;
    without `dots` only those beyond the whiskers are drawn.
    Returns the places (groups, members) of the boxes and (groups,) of the groups on the x axis.
    """
    groups, _, members = values.shape
    places = np.arange(groups)[:, None] * (members + gap) + np.arange(members)[None, :]
    for group, look in enumerate(looks):
        if join:
            axis.plot(places[group], values[group].T, color="#9a9a9a", linewidth=0.5, alpha=0.55, zorder=2)
        samples = [column[np.isfinite(column)] for column in values[group].T]
        filled = [member for member in range(members) if samples[member].size]
        if not filled:
            continue
        box = axis.boxplot(
            [samples[member] for member in filled],
            positions=places[group, filled],
            widths=0.68,
            patch_artist=True,
            showfliers=not dots,
            flierprops={"marker": ".", "markersize": 2, "markerfacecolor": style.INK, "markeredgewidth": 0},
            manage_ticks=False,
            boxprops={"facecolor": look.color, "alpha": 0.8, "edgecolor": style.INK, "linewidth": 0.7},
            medianprops={"color": style.INK, "linewidth": 1.4},
            whiskerprops={"color": style.INK, "linewidth": 0.8},
            capprops={"color": style.INK, "linewidth": 0.8},
            zorder=3,
        )
        for patch in box["boxes"]:
            patch.set_hatch(look.hatch)
        if dots:
            at = np.concatenate([np.full(samples[member].size, places[group, member]) for member in range(members)])
            known = np.isfinite(values[group].T)
            whose = (
                [name for seen in known for name, there in zip(people, seen, strict=True) if there] if people else ()
            )
            dot_people(axis, at, np.concatenate(samples), zorder=4, people=whose)
    axis.grid(False, axis="x")
    axis.set_xlim(places[0, 0] - 0.8, places[-1, -1] + 0.8)
    return places, places.mean(axis=1)


def dot_within(
    axis: Axes,
    place: float,
    value: float,
    interval: tuple[float, float],
    ends: tuple[float, float],
    *,
    color: str,
    size: float,
    width: float,
    marker: str = "o",
    **more: Any,
) -> None:
    """A dot with its interval (low, high) at the height `place`, clipped to `ends`; beyond them an arrowhead.

    size, marker: of the dot in the report, in points, and its shape; width: of the line. `more` goes to the dot's
    `Axes.plot`. Where the interval isn't known there is a dot alone.
    """
    if not np.isnan(interval).any():
        axis.hlines(place, *np.clip(interval, *ends), color=color, linewidth=width, zorder=2)
    marker = "<" if value < ends[0] else ">" if value > ends[1] else marker
    axis.plot(np.clip(value, *ends), place, marker, markersize=medium().scaled(size), color=color, zorder=3, **more)


def dot_people(
    axis: Axes, places: np.ndarray, values: np.ndarray, *, zorder: float, people: Sequence[str] = ()
) -> None:
    """A small white dot a person: `values` (N,) over `places` (N,) on the x axis; `people` says whose they are."""
    if people and isinstance(axis.figure, style.Page):
        axis.figure.dots.append((axis, people, places, values))
    axis.plot(
        places,
        values,
        "o",
        markersize=2.4,
        markerfacecolor="white",
        markeredgecolor=style.INK,
        markeredgewidth=0.5,
        zorder=zorder,
    )


def show_slice(axis: Axes, pixels: np.ndarray, gray: tuple[float, float], edges_mm: tuple[float, float]) -> None:
    """Show a slice (rows, columns) in grays from black to white; `edges_mm` are a pixel's height and width.

    Exact zeros, the background, stay black whatever the scale.
    """
    shown = np.where(pixels == 0, min(gray[0], 0.0), pixels)
    axis.imshow(
        shown, cmap="gray", vmin=gray[0], vmax=gray[1], aspect=edges_mm[0] / edges_mm[1], interpolation="nearest"
    )
    frame(axis)


def show_gray_scale(axis: Axes, gray: tuple[float, float]) -> None:
    """Fill a narrow axis with a gray scale from its lowest to its highest intensity.

    (matplotlib's own color bar leaves memory addresses in an SVG's ids, so that no two are the same.)
    """
    axis.imshow(np.linspace(1, 0, 256)[:, None], cmap="gray", extent=(0, 1, *gray), aspect="auto")
    axis.grid(False)
    axis.set_xticks([])
    axis.yaxis.tick_right()
    axis.yaxis.set_label_position("right")
    axis.tick_params(labelsize=medium().tiny, length=2)
    axis.set_ylabel("a.u.", fontsize=medium().tiny)
    axis.set_label("gray scale")
    for spine in axis.spines.values():
        spine.set_visible(False)


def frame(axis: Axes) -> None:
    """Leave a picture without ticks, grid and frame."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def say_no_scan(axis: Axes, what: str = "no scan") -> None:
    """Mark the place of a picture that isn't there."""
    frame(axis)
    axis.set_facecolor("#f2f2f2")
    axis.text(
        0.5, 0.5, what, transform=axis.transAxes, ha="center", va="center", color=style.QUIET, fontsize=medium().tiny
    )
