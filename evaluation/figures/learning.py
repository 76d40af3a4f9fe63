"""The figure of a learning curve (`snakemake learning`): how many travelling people an arm needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from core.names import RAW
from evaluation.figures import style
from evaluation.figures.media import medium
from evaluation.verdicts.answers import KEPT_SHARE
from evaluation.verdicts.endpoints import Endpoint

TITLE = "How many travelling people an arm needs"
SPREAD = 0.07
"""How far arms stand apart from their number of people, in doublings."""


ROOM = 0.12
"""How far a panel goes beyond its values, as a share of their span; longer whiskers are cut."""

KEPT_COLUMNS = ["kept_share", "kept_volume_share"]


@style.styled
def plot(
    summary: pd.DataFrame,
    trials: pd.DataFrame,
    *,
    labels: Mapping[str, str],
    endpoint: Endpoint,
    simulated: bool,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw `evaluation.learning`'s tables: the endpoint, and the share of the person kept, by number of people."""
    looks = style.looks(list(labels))
    raw = summary[summary["arm"] == RAW].iloc[0]
    figure = style.page(
        TITLE,
        height=3.9,
        simulated=simulated,
        legend={labels[arm]: dataclasses.replace(look, dot=True) for arm, look in looks.items()},
        notes=[
            f"Judged on {int(raw['n'])} people whom no fit saw. Small: draws of the people; curves: their means. "
            f"Whiskers: the 95 % interval of the gain over RAW, over people and draws, drawn from RAW's mean "
            f"({raw['value']:.3g}): where they leave it out the gain is sure.",
            f"RAW's rescans: {raw['rescan']:.3g}." if math.isfinite(raw["rescan"]) else "",
            "Crosses: fits without numbers." if trials["value"].isna().any() else "",
            "Kept: of RAW's variance between people in images, or covariance over people of volumes, whichever is "
            "less; dashed: what must be.",
            *notes,
        ],
    )
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    shifts = np.linspace(-SPREAD, SPREAD, len(looks)) if len(looks) > 1 else [0.0]
    for (arm, look), shift in zip(looks.items(), shifts, strict=True):
        own, points = (
            table[table["arm"] == arm].assign(kept=table[KEPT_COLUMNS].min(axis=1)) for table in (trials, summary)
        )
        across = points["people"] * 2.0**shift
        for axis, column in ((left, "value"), (right, "kept")):
            style_of = {"color": look.color, "marker": look.marker}
            axis.plot(
                own["people"] * 2.0**shift, own[column], **style_of, linestyle="", markersize=3.5, alpha=0.5, mew=0
            )
            axis.plot(across, points[column], **style_of, markersize=5, linewidth=1.4, zorder=3)
        ends = points["raw"].to_numpy(float) + endpoint.sign * points[["gain_low", "gain_high"]].to_numpy(float).T
        left.vlines(across, *ends, color=look.color, linewidth=1, alpha=0.7, zorder=2)
        for people in own.loc[own["value"].isna(), "people"]:
            # on the axis itself, where no value is
            place = {"transform": left.get_xaxis_transform(), "clip_on": False, "zorder": 4}
            left.plot(people * 2.0**shift, 0, "x", color=look.color, markersize=6, **place)
    _set_height(left, [*trials["value"], raw["value"], raw["rescan"]])
    _set_height(right, [*trials[KEPT_COLUMNS].min(axis=1), KEPT_SHARE, 1.0])
    _draw_lines(left, [(raw["value"], "-", "RAW"), (raw["rescan"], ":", "rescans")])
    _draw_lines(right, [(1.0, "-", "RAW"), (KEPT_SHARE, "--", "")])
    on, unit = medium(), f", {endpoint.measure.unit}" if endpoint.measure.unit else ""
    for axis, words in (
        (left, f"{endpoint.label}{unit}: {endpoint.measure.better} is better"),
        (right, "Person kept: share of RAW's"),
    ):
        axis.set_ylabel(style.fit_lines(words, on.scaled(3.0), 3, on.text))
        _set_people(axis, sorted(set(trials["people"])))
    return figure


def _set_people(axis: Axes, counts: Sequence[int]) -> None:
    """The axis of people: in doublings, a tick a number."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.set_xticks([], minor=True)
    axis.set_xlim(counts[0] / 1.25, counts[-1] * 1.5)
    axis.set_xlabel("people learned from")


def _set_height(axis: Axes, values: Sequence[float]) -> None:
    """The axis of values: all that are known, and some room for whiskers."""
    known = [float(value) for value in values if math.isfinite(value)]
    room = ROOM * (max(known) - min(known)) or 1.0
    axis.set_ylim(min(known) - room, max(known) + room)


def _draw_lines(axis: Axes, lines: Sequence[tuple[float, str, str]]) -> None:
    """Lines across, of those that are known, with their names at the right end."""
    for height, line, name in lines:
        if math.isfinite(height):
            axis.axhline(height, color=style.QUIET, linestyle=line, linewidth=1.2, zorder=1)
            axis.annotate(
                name,
                (1, height),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 2),
                textcoords="offset points",
                ha="right",
                fontsize=medium().small,
                color=style.QUIET,
            )
