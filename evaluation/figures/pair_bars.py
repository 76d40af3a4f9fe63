"""Bars by pair of scanners, which several figures draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation.figures import panels, style
from evaluation.figures.media import medium
from evaluation.figures.style import Look

BAR = 0.075
"""Inches in the report that a bar needs."""

REACH = 3.0
"""Whiskers are drawn up to so many times a panel's tallest bar: an interval of two or three people may be endless."""


def pair_label(pair: tuple[str, str]) -> str:
    """A pair of scanners as an axis shows it."""
    return f"{pair[0]} – {pair[1]}"


def over_pairs(pairs: Sequence[str]) -> str:
    """A sentence for a figure whose boxes are over pairs of scanners."""
    return f"Each box is over {len(pairs)} pairs of scanners."


def by_pair(table: pd.DataFrame, pairs: Sequence[tuple[str, str]], arms: Sequence[str], column: str) -> np.ndarray:
    """A pairwise measure as (pairs, methods), NaN where there is none; a pair counts in either order."""
    values = np.full((len(pairs), len(arms)), np.nan)
    rows = {frozenset(pair): place for place, pair in enumerate(pairs)}
    columns = {arm: place for place, arm in enumerate(arms)}
    for a, b, arm, value in zip(table["scanner_a"], table["scanner_b"], table["method"], table[column], strict=True):
        row, place = rows.get(frozenset((a, b))), columns.get(arm)
        if row is not None and place is not None:
            values[row, place] = value
    return values


def largest_counts(counts: dict[str, np.ndarray]) -> np.ndarray:
    """The n (pairs, methods) of bars, the largest over tissues; 0 where there is none."""
    return np.nan_to_num(np.stack(list(counts.values()))).max(axis=0).astype(int)


def panel_height(pairs: Sequence[str], arms: Sequence[str], tissues: int) -> float | None:
    """How high a row of bars is; None where there are too many pairs for a page."""
    on = medium()
    rows = panels.chunks(len(pairs), max(2, panels.a_row(BAR) // len(arms)))
    widest = max(len(row) for row in rows)
    texts, angle = style.fit(list(pairs), (on.width - on.scaled(panels.AXIS)) / widest, on.small)
    lines = max(text.count("\n") + 1 for text in texts)
    return on.panel_height(1.75 + (1.6 if angle else 0.13 * lines), tissues * len(rows))


@style.styled
def plot(
    heights: dict[str, np.ndarray],
    low: dict[str, np.ndarray],
    high: dict[str, np.ndarray],
    *,
    pairs: Sequence[str],
    arms: Sequence[str],
    looks: Sequence[Look],
    unit: str,
    title: str,
    stars: dict[str, np.ndarray] | None = None,
    counts: np.ndarray | None = None,
    decimals: int = 1,
    one_scale: bool = False,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw bars with whiskers: a row of panels a tissue, a group a pair of scanners, a bar an arm.

    `heights`, `low`, `high` and `stars` map a tissue to (pairs, methods); NaN draws nothing. `counts`
    (pairs, methods) is n; a pair whose n isn't the figure's usual one shows it. With `one_scale` all
    tissues share their axis. Whiskers beyond `REACH` are cut there, which the footnote says.
    """
    ceilings = {tissue: REACH * np.nanmax(found, initial=0.0) for tissue, found in heights.items()}
    cut = any((high[tissue] > ceiling).any() for tissue, ceiling in ceilings.items())
    high = {tissue: np.minimum(high[tissue], ceiling) for tissue, ceiling in ceilings.items()}
    on = medium()
    rows = panels.chunks(len(pairs), max(2, panels.a_row(BAR) // len(arms)))
    names = list(pairs)
    if counts is not None:
        names = [_with_count(name, counts[place], counts.max(initial=0)) for place, name in enumerate(names)]
    panel = panel_height(names, arms, len(heights)) or on.scaled(1.75)
    figure = style.page(
        title,
        height=panel * len(heights) * len(rows),
        simulated=simulated,
        legend=dict(zip(arms, looks, strict=True)),
        notes=[
            style.counted(counts.ravel(), "subjects per bar") if counts is not None else "",
            *notes,
            f"A whisker of {REACH:g} times the tallest bar goes on beyond." if cut else "",
        ],
    )
    grid = figure.subplots(len(heights) * len(rows), 1, squeeze=False)[:, 0]
    for number, tissue in enumerate(heights):
        scaled = heights if one_scale else [tissue]
        top = max(np.nanmax([heights[t], high[t]], initial=0.0) for t in scaled) * 1.16 or 1.0
        for place, row in enumerate(rows):
            axis = grid[number * len(rows) + place]
            chosen = list(row)
            places = panels.grouped_bars(
                axis,
                heights[tissue][chosen],
                low[tissue][chosen],
                high[tissue][chosen],
                looks=looks,
                stars=None if stars is None else stars[tissue][chosen],
                decimals=decimals,
            )
            axis.set_ylim(0, top)
            axis.set_ylabel(f"{tissue} {unit}")
            style.set_group_labels(
                axis, places, [names[p] for p in chosen], (on.width - on.scaled(panels.AXIS)) / len(chosen)
            )
            axis.tick_params(axis="x", length=0)
    return figure


def _with_count(name: str, counts: np.ndarray, usual: int) -> str:
    found = counts[counts > 0]
    if found.size == 0 or (found == usual).all():
        return name
    low, high = found.min(), found.max()
    return f"{name}\nn = {low}" if low == high else f"{name}\nn = {low} to {high}"
