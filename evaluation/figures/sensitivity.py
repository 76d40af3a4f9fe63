"""The figure of several studies' scores (`python -m evaluation sensitivity`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evaluation.figures import style
from evaluation.figures.media import medium

TITLE = "Does the ranking hang on how much of the differences is the scanner?"
LOWEST, HIGHEST = -1.5, 2.0


@style.styled
def plot(
    table: pd.DataFrame,
    *,
    labels: Mapping[str, str],
    endpoint: str,
    simulated: bool,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw `evaluation.sensitivity.scores`' table: a line an arm over studies, dashed for controls."""
    arms = list(dict.fromkeys(table["method"]))
    looks = style.looks(arms)
    roles = dict(zip(table["method"], table["role"], strict=True))
    legend = {labels[arm]: style.Look(looks[arm].color, line="-" if roles[arm] == "arm" else ":") for arm in arms}
    told = [f"Removed: {endpoint}.", *notes]
    figure = style.page(TITLE, height=3.8, simulated=simulated, legend=legend, notes=told)
    axis = figure.subplots()
    for end in (0.0, 1.0):
        axis.axhline(end, color=style.INK, linewidth=0.7, zorder=1)
    shifts = np.linspace(-0.012, 0.012, len(arms))
    for arm, shift in zip(arms, shifts, strict=True):
        part = table[table["method"] == arm].sort_values("scanner_share")
        x = part["scanner_share"].to_numpy(float) + shift
        y, low, high = (
            np.clip(part[name].to_numpy(float), LOWEST, HIGHEST) for name in ("score", "score_low", "score_high")
        )
        competes = roles[arm] == "arm"
        axis.plot(
            x,
            y,
            "o-" if competes else "o:",
            color=looks[arm].color,
            markersize=5,
            markerfacecolor=looks[arm].color if competes else "white",
            linewidth=1.4,
            zorder=3,
        )
        axis.vlines(x, low, high, color=looks[arm].color, linewidth=1, alpha=0.6, zorder=2)
    for run, share in table.drop_duplicates("run")[["run", "scanner_share"]].itertuples(index=False):
        axis.annotate(
            run, (share, LOWEST), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=medium().small
        )
    axis.set_ylim(LOWEST, HIGHEST)
    axis.set_xlim(0, 1)
    axis.set_xlabel("Share of RAW's dissimilarity (SSIM) that rescans of one scanner don't have")
    axis.set_ylabel("Removed (0 RAW, 1 rescan)")
    return figure
