"""The matrix of pairwise wins over studies (`python -m evaluation merge`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evaluation.figures import style
from evaluation.figures.media import medium

TITLE = "In how many people is the row's arm better than the column's?"
MOST_WRITTEN = 12
"""Arms up to which a cell has room for its numbers."""


@style.styled
def plot(table: pd.DataFrame, *, labels: Mapping[str, str], simulated: bool, notes: Sequence[str] = ()) -> style.Page:
    """Draw `evaluation.merging.merged.pairwise`' table: rows are a, columns b, in the order of `labels`."""
    arms = list(labels)
    place = {arm: number for number, arm in enumerate(arms)}
    share = np.full((len(arms), len(arms)), np.nan)
    for row in table.to_dict("records"):
        share[place[row["a"]], place[row["b"]]] = row["share"]
    figure = style.page(TITLE, height=1.4 + 0.55 * len(arms), simulated=simulated, notes=notes)
    axis = figure.subplots()
    axis.grid(visible=False)
    shown = axis.imshow(share, cmap="PuOr_r", vmin=0, vmax=1, aspect="auto")
    bar = figure.colorbar(shown, ax=axis, shrink=0.8, pad=0.02)
    bar.set_label("Share of people")
    if len(arms) <= MOST_WRITTEN:
        for row in table.to_dict("records"):
            text = f"{row['share']:.0%} ({row['low']:.0%} to {row['high']:.0%})"
            told = f"clear {row['a_clear']} : {row['b_clear']} of {row['studies']}"
            dark = abs(row["share"] - 0.5) > 0.35
            axis.text(
                place[row["b"]],
                place[row["a"]],
                f"{text}\n{told}",
                ha="center",
                va="center",
                fontsize=medium().small - 0.5,
                color="white" if dark else style.INK,
            )
    names = [labels[arm] for arm in arms]
    style.set_group_labels(axis, np.arange(len(arms)), names, 6.0 / len(arms))
    axis.set_yticks(np.arange(len(arms)), [style.wrap(name, 22, 2) for name in names])
    axis.set_xlabel("... than")
    axis.set_ylabel("Better is")
    return figure
