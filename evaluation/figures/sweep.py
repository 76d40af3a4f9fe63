"""The figure of a sweep (`snakemake sweep`): the front between fidelity and agreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.names import RAW
from evaluation.figures import style
from evaluation.figures.media import medium
from evaluation.sweep import SCORES

TITLE = "Sweep of {method}: fidelity against agreement, on held-out people"


@style.styled
def plot(table: pd.DataFrame, points: Mapping[str, Mapping[str, Any]], *, method: str, simulated: bool) -> style.Page:
    """Draw `evaluation.sweep.score_points`' table: a mark a point, numbered, the front joined by a line.

    `points` are the parameters of each; those that all share are not named.
    """
    chosen = table[table["point"] != RAW].reset_index(drop=True)
    raw = table[table["point"] == RAW].iloc[0]
    varied = [name for name in next(iter(points.values())) if len({point[name] for point in points.values()}) > 1]
    color = style.PALETTE[style.FIXED["mispel"]]
    numbered = [
        f"{number}: " + ", ".join(f"{name} {points[point][name]}" for name in varied)
        for number, point in enumerate(chosen["point"], start=1)
    ]
    figure = style.page(
        TITLE.format(method=method),
        height=4.2,
        simulated=simulated,
        notes=[
            f"Means over {chosen['n'].max()} held-out people, in units of a scan's mean over the brain. Filled: on the "
            f"front, beaten by no other point in both. Unharmonized scans differ by {raw[SCORES[1]]:.4f} (dotted).",
            *[f"{text}." for text in numbered],
        ],
    )
    axis = figure.subplots()
    x, y = (chosen[name].to_numpy() for name in SCORES)
    front = chosen["on_front"].to_numpy(bool)
    order = np.flatnonzero(front)[np.argsort(x[front], kind="stable")]
    axis.plot(x[order], y[order], color=color, linewidth=1.2, zorder=1)
    axis.scatter(x[front], y[front], s=46, color=color, zorder=2)
    axis.scatter(x[~front], y[~front], s=46, facecolors="white", edgecolors=color, zorder=2)
    for number, place in enumerate(zip(x, y, strict=True), start=1):
        axis.annotate(str(number), place, xytext=(6, 4), textcoords="offset points", fontsize=medium().text)
    axis.axhline(raw[SCORES[1]], color=style.QUIET, linestyle=":", linewidth=1.2)
    axis.margins(0.12)
    axis.set_xlabel("mean absolute difference from the scan (lower: more faithful)")
    axis.set_ylabel("mean absolute difference between\na person's images (lower: more agreement)")
    return figure
