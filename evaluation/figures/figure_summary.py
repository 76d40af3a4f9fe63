"""The summary: every arm by every measure, on the scale that the controls set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation.figures import panels, style
from evaluation.figures.media import medium
from evaluation.figures.style import Look
from evaluation.measures import registry
from evaluation.runs.finished_run import FinishedRun
from evaluation.summary import COLUMNS

TITLE = "Summary: every arm by every measure"
TOPIC = "Summary"
CAPTION = (
    "A panel a measure, a row an arm; the dot is the arm's score, the line its 95 % interval over people (Student's t, "
    "jackknife standard error). Scanners' differences removed: 0 is RAW and 1 RAW's rescans of one scanner; right of 1 "
    "an arm is smoother than a rescan. Nearer the truth, and removed where there is no rescan to measure by: 1 is the "
    "oracle, or in a run without it the best value there can be, as each panel says. "
    "Person kept: 0 is nothing left (or a guess), 1 the oracle, or in a run without it RAW. An arrow: the score lies "
    "beyond the panel. On the right the rank among the arms that aren't controls, with its interval. There is no "
    "total, since an arm that removes everything by keeping nothing would win it."
)
MOST_COLUMNS = 5
NARROWEST = 1.7
"""Inches that a panel needs, with its share of the arms' names."""
PAPER = ("page",)
LOWEST, HIGHEST = -0.5, 1.3
ROOM_FOR_RANKS = {"report": 1.2, "page": 2.0}
"""On the axis, by medium."""

LEAST_PITCH = 1.15 / 72
"""The distance of rows per point of their type, in inches."""

ASKED = {"removed": "removed", "kept": "kept", "nearer": "nearer"}


def make(run: FinishedRun) -> style.Page | None:
    """Draw `statistics/summary.tsv`; nothing for a run without it."""
    table = run.table("statistics/summary.tsv", COLUMNS)
    if table is None or table["score"].notna().sum() == 0:
        return None
    table = table[table["measure"].isin(table.loc[table["score"].notna(), "measure"])]
    arms, notes = run.arms_in(table), run.notes()
    if pitch(table, len(arms)) is None:
        arms = run.only("arm").arms_in(table)
        notes = ["Controls are left out.", *notes]
    return plot(
        table,
        arms=arms,
        labels=[run.label(arm) for arm in arms],
        looks=[style.looks(run.arms)[arm] for arm in arms],
        simulated=run.simulated,
        notes=notes,
    )


def lines_of_panels(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """What each line of panels asks, and its measures."""
    groups = {asks: list(dict.fromkeys(table.loc[table["asks"] == asks, "measure"])) for asks in ASKED}
    columns = most_columns()
    return [
        (asks, names[start : start + columns])
        for asks, names in groups.items()
        for start in range(0, len(names), columns)
    ]


def most_columns() -> int:
    """How many panels stand beside each other."""
    return min(MOST_COLUMNS, int(medium().width / NARROWEST))


def pitch(table: pd.DataFrame, arms: int) -> float | None:
    """The distance of two arms' rows in inches; None where so many arms don't fit on a page."""
    on = medium()
    wanted = on.scaled(0.185)
    lines = len(lines_of_panels(table))
    room = ((on.tallest - on.scaled(0.6)) / lines - on.scaled(0.75)) / arms
    return min(wanted, room) if room >= LEAST_PITCH * on.small else None


@style.styled
def plot(
    table: pd.DataFrame,
    *,
    arms: Sequence[str],
    labels: Sequence[str],
    looks: Sequence[Look],
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw the summary `table` (`evaluation.summary.COLUMNS`): a panel a measure, a row an arm of `methods`."""
    on = medium()
    lines, columns = lines_of_panels(table), most_columns()
    rows = pitch(table, len(arms)) or LEAST_PITCH * on.small
    figure = style.page(
        TITLE,
        height=len(lines) * (on.scaled(0.75) + rows * len(arms)),
        simulated=simulated,
        notes=[_counted(table), _meaning(table), *notes],
    )
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for row, (asks, names) in zip(grid, lines, strict=True):
        for place, axis in enumerate(row):
            if place >= len(names):
                axis.set_axis_off()
                continue
            part = table[table["measure"] == names[place]].set_index("method").reindex(list(arms))
            _panel(axis, part, looks)
            heading = f"{registry.find(names[place]).label}"
            axis.set_title(style.fit_lines(heading, on.scaled(1.45), 2, on.small, "bold"), fontsize=on.small)
            shown = [style.shorten(label, 22) for label in labels] if place == 0 else []
            axis.set_yticks(range(len(arms)), shown or [""] * len(arms), fontsize=medium().small)
            axis.set_xlabel(
                ASKED[asks] + _ends(part["one_is"].iloc[0], asks), fontsize=medium().tiny, color=style.QUIET
            )
    return figure


def _ends(one_is: str, asks: str) -> str:
    return f": 0 {'nothing' if asks == 'kept' else 'RAW'}, 1 {one_is}"


def _counted(table: pd.DataFrame) -> str:
    return style.counted(table["n"].unique(), "people per measure")


def _meaning(table: pd.DataFrame) -> str:
    competing = style.counted(
        table.loc[table["ranked"] > 0, "ranked"].unique(), "arms that aren't controls per measure"
    )
    return f"Right: rank ({competing}), with the middle 95 % of its resamples."


def _panel(axis: Axes, part: pd.DataFrame, looks: Sequence[Look]) -> None:
    """Draw one measure, indexed by method in the order of the rows."""
    axis.axvspan(0, 1, color="#f3f3f3", zorder=0)
    for end in (0.0, 1.0):
        axis.axvline(end, color=style.INK, linewidth=0.7, zorder=1)
    for place, (look, cell) in enumerate(zip(looks, part.to_dict("records"), strict=True)):
        score = cell["score"]
        if np.isfinite(score):
            interval, ends = (cell["score_low"], cell["score_high"]), (LOWEST, HIGHEST)
            edge: dict[str, Any] = {"markeredgecolor": style.INK, "markeredgewidth": 0.5}
            panels.dot_within(axis, place, score, interval, ends, color=look.color, size=5, width=1.8, **edge)
        else:
            axis.text(0.5, place, "n/a", ha="center", va="center", fontsize=medium().tiny, color=style.QUIET)
        if np.isfinite(cell["rank"]):
            axis.text(
                HIGHEST + 0.08, place, _rank(cell), ha="left", va="center", fontsize=medium().tiny, color=style.INK
            )
    axis.set_xlim(LOWEST - 0.08, HIGHEST + ROOM_FOR_RANKS[medium().name])
    axis.set_ylim(len(part) - 0.5, -0.5)
    axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=medium().tiny)
    axis.tick_params(axis="both", length=0)
    axis.grid(False, axis="y")


def _rank(cell: dict) -> str:
    low, high = cell["rank_low"], cell["rank_high"]
    if not np.isfinite(low) or low == high == cell["rank"]:
        return f"{cell['rank']:g}"
    return f"{cell['rank']:g} ({low:g}–{high:g})"
