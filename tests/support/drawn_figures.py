"""Figures as matplotlib's objects, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from evaluation import figures
from evaluation.figures import media, style
from evaluation.figures.media import REPORT, Medium
from evaluation.runs.finished_run import read_run


def drawn(folder: Path, only: str = "", on: Medium = REPORT) -> dict[str, style.Page]:
    """The figures of a run as matplotlib's objects, by name, without files."""
    run, kept = read_run(folder), {}
    for name in figures.names():
        module = figures.load(name)
        if only in name and (on is REPORT or on.name in getattr(module, "PAPER", (on.name,))):
            with media.on(on):
                page = module.make(run)
            if page is not None:
                kept[name] = page
    return kept


def texts(figure: Figure) -> list[str]:
    return [found.get_text() for found in figure.findobj(Text) if found.get_text()]


def axes_of(figure: Figure) -> list[Axes]:
    return [axis for axis in figure.findobj(Axes) if axis.get_label() != "gray scale"]


def labels_out_of(axis: Axis) -> list[Text]:
    """Labels of ticks beyond an axis's ends, which matplotlib keeps but doesn't draw."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high] + [
        tick.label2 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high
    ]


def overlaps(figure: Figure) -> list[str]:
    """Pairs of texts that touch, texts that reach into a panel that isn't theirs, and texts beyond the page."""
    style.settle(figure)
    figure.draw_without_rendering()
    page = figure.bbox
    unseen = {id(label) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in labels_out_of(axis)}
    found = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible() and id(text) not in unseen]
    shown = [(text.get_text(), text.get_window_extent()) for text in found]
    problems = [
        f"beyond the page: {text!r}"
        for text, box in shown
        if box.x0 < page.x0 - 1 or box.y0 < page.y0 - 1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1
    ]
    for axes in figure.axes:
        area = axes.get_window_extent()
        problems += [
            f"{text!r} in another's panel"
            for (text, box), owner in zip(shown, found, strict=True)
            if owner.axes is not axes
            and min(box.x1, area.x1) - max(box.x0, area.x0) > 1
            and min(box.y1, area.y1) - max(box.y0, area.y0) > 1
        ]
    low, high = (np.array([getattr(box, corner) for _, box in shown]) for corner in ("min", "max"))
    common = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    touching = np.argwhere(np.triu((common > 1).all(axis=2), k=1))
    problems += [f"{shown[one][0]!r} and {shown[other][0]!r}" for one, other in touching]
    return problems
