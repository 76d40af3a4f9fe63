"""A box an arm, where a run has too many scanners, or pairs of them, for a bar or box each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.figures import panels, style
from evaluation.figures.media import medium
from evaluation.figures.style import Look

BOX = 0.16
"""Inches in the report that a box needs."""

MOST_POINTS = 60
"""Points are drawn over a box up to so many, more would hide it."""

BOXES = "Boxes: median and quartiles; whiskers: to 1.5 times the interquartile range."


@style.styled
def plot(
    values: Mapping[str, np.ndarray],
    *,
    arms: Sequence[str],
    looks: Sequence[Look],
    title: str,
    caption: str,
    under: Mapping[str, Sequence[str]] | None = None,
    zero_line: bool = False,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw a panel a quantity, beside each other where the boxes have room: a box an arm over (arms, items).

    `values` are by what is written at their axes; NaN doesn't count. `under` says of each what is written under its
    boxes; `caption` is what the figure is in this form.
    """
    on = medium()
    columns = next(
        (
            wide
            for wide in range(min(3, len(values)), 0, -1)
            if len(values) % wide == 0
            and on.width / wide - on.scaled(panels.AXIS) >= on.scaled(BOX) * max(len(arms), 6)
        ),
        1,
    )
    rows = len(values) // columns
    figure = style.page(
        title,
        height=rows * (on.panel_height(2.6, rows) or on.scaled(1.7)),
        simulated=simulated,
        legend=dict(zip(arms, looks, strict=True)),
        notes=[BOXES, *notes],
    )
    figure.caption = caption
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, found) in zip(grid, values.items(), strict=True):
        few = found.shape[1] <= MOST_POINTS
        places, _ = panels.grouped_boxes(axis, found[:, :, None], looks=looks, join=False, dots=few, gap=0.2)
        if zero_line:
            axis.axhline(0, color=style.INK, linewidth=0.9, zorder=1)
        axis.set_ylabel(name)
        if under is None:
            axis.set_xticks([])
        else:
            inches = (on.width / columns - on.scaled(panels.AXIS)) / len(arms)
            style.set_group_labels(axis, places[:, 0], under[name], inches)
            axis.tick_params(axis="x", length=0)
    return figure
