"""The verdict in two axes: what is removed of the differences between scanners, and what is kept of the person."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.figures import style
from evaluation.figures.media import medium
from evaluation.figures.style import Look
from evaluation.runs.finished_run import FinishedRun
from evaluation.verdicts.answers import KEPT_SHARE, NOT_COMPARED
from evaluation.verdicts.endpoints import endpoint_label
from evaluation.verdicts.gains import GAIN_COLUMNS
from evaluation.verdicts.verdict import VERDICT_COLUMNS

TITLE = "Differences between scanners removed, and the person kept"
TOPIC = "Verdict"
CAPTION = (
    "Across: the gain over RAW in the primary endpoint, 0 RAW and 1 RAW's rescans of one scanner; right of 1 an arm is "
    "smoother than a rescan, which isn't better. Up: the share of RAW's variance between people that an arm keeps; the "
    "dashed line is what it must keep. Filled: arms that are compared; hollow: controls, and what uses a person's "
    "other scans. Lines: 95 % intervals over people and seeds. A method that knows scanners lies right of its "
    "permuted fit and of the blur as smooth as it is."
)
LOWEST, HIGHEST = -1.0, 2.0
TOP = 1.6
LINE = 0.06
"""From a name to the next one above it."""

MOST_NAMES = int(TOP / LINE) - 2
"""That one column has room for; where there are more points, controls have none."""


def make(run: FinishedRun) -> style.Page | None:
    """Draw `figure_verdict` into the run's figures; nothing without verdicts, or without rescans to scale them by."""
    verdicts = run.table("statistics/verdicts.tsv", VERDICT_COLUMNS)
    gains = run.table("statistics/gains.tsv", GAIN_COLUMNS)
    if verdicts is None or gains is None or verdicts["removed_share"].notna().sum() == 0:
        return None
    return plot(
        verdicts,
        labels={arm: run.label(arm) for arm in verdicts["method"]},
        looks=style.looks(run.arms),
        endpoint=endpoint_label(gains["measure"].iloc[0], gains["tissue"].iloc[0]),
        simulated=run.simulated,
        notes=[style.counted(gains.loc[gains["endpoint"] == "primary", "n"].unique(), "people"), *run.notes()],
    )


@style.styled
def plot(
    verdicts: pd.DataFrame,
    *,
    labels: Mapping[str, str],
    looks: Mapping[str, Look],
    endpoint: str,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw `verdicts` (`evaluation.verdicts.verdict.VERDICT_COLUMNS`), a point an arm."""
    shown = verdicts[verdicts["removed_share"].notna() & verdicts["kept_share"].notna()]
    on = medium()
    named = shown if len(shown) <= MOST_NAMES else shown[shown["removed"] != NOT_COMPARED].head(MOST_NAMES)
    if len(named) < len(shown):
        notes = [f"{len(shown) - len(named)} of {len(shown)} points, controls first, are without a name.", *notes]
    # on the narrower paper names beside their points would lie on each other
    legend = {} if on.titled else {labels[arm]: looks[arm] for arm in named["method"]}
    figure = style.page(TITLE, height=on.scaled(4.4), simulated=simulated, notes=notes, legend=legend)
    axis = figure.subplots()
    axis.axvspan(1, HIGHEST, color="#f3f3f3", zorder=0)
    axis.axhline(KEPT_SHARE, color=style.QUIET, linewidth=0.8, linestyle="--", zorder=1)
    for end in (0.0, 1.0):
        axis.axvline(end, color=style.INK, linewidth=0.7, zorder=1)
    for row in shown.to_dict("records"):
        _point(axis, row, looks[row["method"]], compared=row["removed"] != NOT_COMPARED)
    if not legend:
        _write_names(axis, [(row["method"], *_place(row)) for row in named.to_dict("records")], labels, looks)
    axis.set_xlim(LOWEST, HIGHEST)
    axis.set_ylim(0, TOP)
    axis.set_xlabel(style.fit_lines(f"Removed: {endpoint} (0 RAW, 1 rescan)", on.width - on.scaled(0.8), 2, on.text))
    axis.set_ylabel("Kept: share of RAW's variance between people")
    return figure


def _place(row: Mapping[Any, Any]) -> tuple[float, float]:
    return float(np.clip(row["removed_share"], LOWEST, HIGHEST)), float(np.clip(row["kept_share"], 0, TOP))


def _point(axis: Axes, row: Mapping[Any, Any], look: Look, *, compared: bool) -> None:
    x, y = _place(row)
    lines: dict[str, Any] = {"color": look.color, "linewidth": 1.2, "zorder": 2, "alpha": 0.7}
    if math.isfinite(row["removed_share_low"]):
        axis.hlines(y, *np.clip([row["removed_share_low"], row["removed_share_high"]], LOWEST, HIGHEST), **lines)
    if math.isfinite(row["kept_share_low"]):
        axis.vlines(x, *np.clip([row["kept_share_low"], row["kept_share_high"]], 0, TOP), **lines)
    face = look.color if compared else "white"
    beyond = not LOWEST < row["removed_share"] < HIGHEST
    marker = "o" if not beyond else ">" if row["removed_share"] >= HIGHEST else "<"
    axis.plot(
        x,
        y,
        marker,
        markersize=medium().scaled(7),
        color=face,
        markeredgecolor=look.color,
        markeredgewidth=1.4,
        zorder=3,
    )


def _write_names(
    axis: Axes, named: Sequence[tuple[str, float, float]], labels: Mapping[str, str], looks: Mapping[str, Look]
) -> None:
    """Names beside their points; where points are close, in a column beside them, with a line to each."""
    on = medium()
    an_inch = (HIGHEST - LOWEST) / (on.width - on.scaled(0.8))
    taken: list[tuple[float, float, float]] = []
    for group in _groups(named):
        alone = len(group) == 1
        names = [style.shorten(labels[arm], 34) for arm, _, _ in group]
        wide = an_inch * max(style.text_width(name, on.small) for name in names)
        across = [x for _, x, _ in group]
        aside = 0.05 if alone else 0.2
        right = max(across) + aside + wide > HIGHEST
        place = min(across) - aside if right else max(across) + aside
        left = place - wide if right else place
        # no room on either side: over the gray part, where few arms are
        over = left < LOWEST - an_inch * on.scaled(0.3)
        if over:
            place, left = HIGHEST - 0.02, HIGHEST - 0.02 - wide
        lowest = _extent(group)[0] + (0.04 if alone else 0.0)
        heights = lowest + LINE * np.arange(len(group))
        while any(
            left < end and begin < left + wide and abs(heights - height).min() < LINE for begin, end, height in taken
        ):
            heights += LINE / 2
        taken += [(left, left + wide, height) for height in heights]
        for (arm, x, y), name, height in zip(group, names, heights, strict=True):
            end = float(right and not over)
            line = {"arrowstyle": "-", "color": looks[arm].color, "relpos": (end, 0.5), "shrinkB": 5}
            axis.annotate(
                name,
                (x, y),
                xytext=(place, height),
                fontsize=on.small,
                ha="right" if right else "left",
                va="center",
                color=style.INK,
                arrowprops=None if alone else line,
                bbox=None if alone else {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.4},
            )


def _groups(named: Sequence[tuple[str, float, float]]) -> list[list[tuple[str, float, float]]]:
    """Names with their points, from the lowest up, by groups whose points are close."""
    groups: list[list[tuple[str, float, float]]] = []
    for one in sorted(named, key=lambda place: place[2]):
        group = [one]
        while met := [other for other in groups if _meet(group, other)]:
            groups = [other for other in groups if other not in met]
            group = sorted([*group, *(name for other in met for name in other)], key=lambda place: place[2])
        groups.append(group)
    return groups


def _meet(one: Sequence[tuple[str, float, float]], other: Sequence[tuple[str, float, float]]) -> bool:
    (low, high), (low_other, high_other) = _extent(one), _extent(other)
    near = any(abs(x - beside) < 0.9 for _, x, _ in one for _, beside, _ in other)
    return near and low - high_other < LINE and low_other - high < LINE


def _extent(group: Sequence[tuple[str, float, float]]) -> tuple[float, float]:
    """The heights of the lowest and the highest name of a group: around its points, within the panel."""
    half = LINE * (len(group) - 1) / 2
    middle = float(np.clip(np.mean([y for _, _, y in group]), half + LINE, max(TOP - half - LINE, half + LINE)))
    return middle - half, middle + half
