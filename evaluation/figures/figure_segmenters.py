"""Whether the verdict survives the segmenter: every arm's gain by each segmentation engine and rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from evaluation.figures import style
from evaluation.figures.media import medium
from evaluation.runs.finished_run import FinishedRun, is_yes
from evaluation.segmenters import COLUMNS, OWN_RULE
from evaluation.verdicts.answers import BEYOND
from evaluation.volume_rules import NAMES

TITLE = "What each segmenter says of the arms"
TOPIC = "Verdict"
CAPTION = (
    "Each number is the gain over RAW in the difference of volumes between scanners, in percent of what lies between "
    "RAW and its rescans (of RAW, where nobody was rescanned), by one segmenter and rule; blue is better, red worse. "
    "Framed: surely beyond RAW and every control by what counts. 'None': RAW's scans lie no farther apart than its "
    "rescans, so that there is nothing to remove. Empty: the arm gives volumes, and has those of one segmenter alone. "
    "Tau: Kendall's, of the order of the arms with that by the primary endpoint, which stands first."
)
PALE = 0.6
"""How much of the color map is used, so that numbers can be read on it."""

ROW, ALL_ROWS = 0.24, 6.5
"""Inches of an arm, and at most of all of them."""


def make(run: FinishedRun) -> style.Page | None:
    """Draw `statistics/segmenters.tsv`; nothing without it."""
    found = run.table("statistics/segmenters.tsv", COLUMNS)
    if found is None or found.empty:
        return None
    found = found.assign(rule=found["rule"].fillna(""), own=is_yes(found["own"]))
    return plot(
        found,
        labels={arm: run.label(arm) for arm in run.arms_in(found)},
        simulated=run.simulated,
        notes=[style.counted(found["n"].unique(), "people"), *run.notes()],
    )


@style.styled
def plot(
    found: pd.DataFrame, *, labels: Mapping[str, str], simulated: bool = False, notes: Sequence[str] = ()
) -> style.Page:
    """Draw `evaluation.segmenters.by_segmenter`'s table: a row an arm, a column an engine and rule."""
    on = medium()
    columns = list(found[["engine", "rule"]].drop_duplicates().itertuples(index=False, name=None))
    arms = list(labels)
    figure = style.page(TITLE, height=on.scaled(min(ROW * len(arms), ALL_ROWS) + 1.0), simulated=simulated, notes=notes)
    axis = figure.subplots()
    shares, nothing = np.full((len(arms), len(columns)), np.nan), []
    for row in found.to_dict("records"):
        place = arms.index(row["method"]), columns.index((row["engine"], row["rule"]))
        span = row["raw"] - row["rescan"] if np.isfinite(row["rescan"]) else row["raw"]
        if span > 0:
            shares[place] = row["gain"] / span
        elif np.isfinite(row["gain"]):
            nothing.append(place)
        if row["removed"] == BEYOND:
            corner = place[1] - 0.46, place[0] - 0.42
            axis.add_patch(Rectangle(corner, 0.92, 0.84, fill=False, edgecolor=style.INK, linewidth=1.2, zorder=3))
    axis.imshow(np.clip(shares, -1, 1), cmap="RdBu", vmin=-1 / PALE, vmax=1 / PALE, aspect="auto", zorder=1)
    axis.grid(False)
    for arm, column in np.argwhere(np.isfinite(shares)):
        share = shares[arm, column]
        axis.text(column, arm, f"{100 * share:.0f}", ha="center", va="center", fontsize=on.small, zorder=4)
    for arm, column in nothing:
        axis.text(column, arm, "none", ha="center", va="center", fontsize=on.small, color=style.QUIET)
    axis.set_yticks(range(len(arms)), [style.shorten(labels[arm], 30) for arm in arms])
    taus = found.drop_duplicates(["engine", "rule"])["tau"].to_numpy(float)
    heads = [
        f"{engine}\n{NAMES.get(rule, OWN_RULE)}\ntau {tau:.2f}"
        for (engine, rule), tau in zip(columns, taus, strict=True)
    ]
    axis.set_xticks(range(len(columns)), heads, fontsize=on.small)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    return figure
