"""The gains beyond RAW and beyond the controls, endpoint by endpoint, with their intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from core.names import RAW
from evaluation.figures import panels, style
from evaluation.figures.media import medium
from evaluation.figures.style import Look
from evaluation.measures import registry
from evaluation.runs.finished_run import FinishedRun
from evaluation.verdicts.endpoints import endpoint_label
from evaluation.verdicts.gains import GAIN_COLUMNS

ROLES = ("arm", "permuted", "blur")

TITLE = "Gains beyond RAW and beyond the controls"
TOPIC = "Summary"
CAPTION = (
    "A row an endpoint, a dot an arm with its 95 % interval over people and seeds; the first row is the primary "
    "endpoint, the others, of its tissue, are exploratory and uncorrected for their number. Right of 0 is better. The "
    "unit is the way from RAW to RAW's rescans of one scanner (without rescans: to the best value there can be), so "
    "1 removes all that scanners add. Left column: over RAW. Middle: over the same method fitted on permuted scanner "
    "labels; an arm that knows scanners lies right of 0. Right: over a blur as smooth as the arm. Arrows: beyond the "
    "panel. The band around 0 is too small to count."
)
CONTROLS = {"raw": "over RAW", "permuted": "over permuted labels", "blur": "over the matched blur"}
LOWEST, HIGHEST = -1.0, 1.5
PAPER = ("page",)


def in_units_of_raw(gains: pd.DataFrame) -> pd.DataFrame:
    """Gains with `share`, `share_low`, `share_high`, `margin_share`: parts of the way from RAW to rescans, or the best.

    Rows of endpoints where RAW is as good as that are left out: there is no way to go.
    """
    parts = []
    for (measure, _), part in gains.groupby(["measure", "tissue"], dropna=False, sort=False):
        about = registry.find(str(measure))
        over_raw = part[part["control"] == RAW]
        if over_raw.empty:
            continue
        best = about.highest if about.better == "higher" else about.lowest
        goal = float(part["rescan"].iloc[0])
        way = (goal if np.isfinite(goal) else best) - float(over_raw["control_value"].iloc[0])
        if not np.isfinite(way) or not about.improves(way):
            continue
        columns = {"share": "gain", "share_low": "gain_low", "share_high": "gain_high", "margin_share": "margin"}
        parts.append(part.assign(**{name: part[column] / abs(way) for name, column in columns.items()}))
    return pd.concat(parts, ignore_index=True) if parts else gains.iloc[:0]


def shown_endpoints(gains: pd.DataFrame) -> pd.DataFrame:
    """The rows of the primary endpoint, and of each other measure those of its tissue, or without a tissue."""
    primary = gains[gains["endpoint"] == "primary"]
    tissue = primary["tissue"].iloc[0] if not primary.empty else None
    return gains[gains["tissue"].isna() | (gains["tissue"] == tissue)]


def make(run: FinishedRun) -> style.Page | None:
    """Draw `statistics/gains.tsv`; nothing without gains of arms that compete."""
    gains = run.table("statistics/gains.tsv", GAIN_COLUMNS)
    if gains is None:
        return None
    competing = [name for name, arm in run.described.items() if arm.competes]
    gains = shown_endpoints(gains)
    gains = in_units_of_raw(gains[gains["method"].isin(competing)])
    if gains.empty:
        return None
    arms = run.arms_in(gains)
    return plot(
        gains.assign(label=[endpoint_label(m, t) for m, t in zip(gains["measure"], gains["tissue"], strict=True)]),
        arms=arms,
        labels=[run.label(arm) for arm in arms],
        looks=style.looks(run.arms),
        simulated=run.simulated,
        notes=[style.counted(gains["n"].unique(), "people"), *run.notes()],
    )


@style.styled
def plot(
    gains: pd.DataFrame,
    *,
    arms: Sequence[str],
    labels: Sequence[str],
    looks: Mapping[str, Look],
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw gains (columns label, method, control, share, share_low, share_high, margin_share, endpoint)."""
    on = medium()
    height = on.scaled(0.12 * len(arms) + 0.14)
    endpoints = list(dict.fromkeys(gains["label"]))
    left_out = len(endpoints) - max(1, int((on.tallest - on.scaled(2.0)) / height))
    endpoints = endpoints[: len(endpoints) - max(0, left_out)]
    figure = style.page(
        TITLE,
        height=on.scaled(0.7) + height * len(endpoints),
        simulated=simulated,
        legend=dict(zip(labels, (dataclasses.replace(looks[arm], dot=True) for arm in arms), strict=True)),
        notes=[f"{left_out} endpoints without a place here are in table_gains." if left_out > 0 else "", *notes],
    )
    axes = figure.subplots(1, len(CONTROLS), sharey=True)
    for axis, (control, title) in zip(axes, CONTROLS.items(), strict=True):
        axis.set_title(title)
        axis.axvline(0, color=style.INK, linewidth=0.7, zorder=1)
        axis.axvline(1, color=style.QUIET, linewidth=0.7, linestyle="--", zorder=1)
        for row, endpoint in enumerate(endpoints):
            part = gains[(gains["label"] == endpoint) & (gains["control"] == control)].set_index("method")
            if part.empty:
                continue
            margin = float(part["margin_share"].iloc[0])
            axis.fill_betweenx([row - 0.45, row + 0.45], -margin, margin, color="#ececec", linewidth=0, zorder=0)
            for place, arm in enumerate(arms):
                if arm in part.index:
                    y = row + ((place + 0.5) / len(arms) - 0.5) * 0.8
                    _dot(axis, part.loc[arm].to_dict(), y, looks[arm])
        axis.set_xlim(LOWEST, HIGHEST)
        axis.set_xticks([-1, 0, 1])
        axis.grid(False, axis="y")
        axis.set_xlabel("share of the way from RAW")
        axis.tick_params(axis="y", length=0)
    names = [style.fit_lines(name, on.scaled(1.9), 2, on.small) for name in endpoints]
    axes[0].set_yticks(range(len(endpoints)), names, fontsize=on.small)
    axes[0].set_ylim(len(endpoints) - 0.5, -0.5)
    for name, label in zip(endpoints, axes[0].get_yticklabels(), strict=True):
        if (gains.loc[gains["label"] == name, "endpoint"] == "primary").any():
            label.set_weight("bold")
    return figure


def _dot(axis: Axes, cell: Mapping[str, Any], y: float, look: Look) -> None:
    interval, ends = (cell["share_low"], cell["share_high"]), (LOWEST, HIGHEST)
    if np.isfinite(cell["share"]):
        value, color, marker = cell["share"], look.color, look.marker
        panels.dot_within(axis, y, value, interval, ends, color=color, marker=marker, size=4, width=1.4, clip_on=False)
