"""How each arm differs from RAW by distance from the brain's edge, scanner by scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from core.names import RAW
from evaluation.figures import style
from evaluation.figures.media import medium
from evaluation.figures.style import Look
from evaluation.measures.edge import BIASES
from evaluation.runs.finished_run import FinishedRun

TITLE = "Difference from RAW by distance from the brain's edge"
TOPIC = "Images"
CAPTION = (
    "Mean difference from RAW on RAW's scale, over the brain's mean, by layer of voxels from the brain's edge inward, "
    "a panel a scanner; the mean over people. At the edge lies mostly cerebrospinal fluid, whose brightness an arm may "
    "rightly change; a line that bends sharply at layer 1 is an arm that changes the edge itself, as a network does "
    "that smooths it into the 0 outside. The diamond on the left is the bias at the edge, tissue by tissue."
)
ROLES = ("arm",)
MOST_COLUMNS, MOST_SCANNERS = 4, 12
BY_ARM = (
    "Mean difference from RAW on RAW's scale, over the brain's mean, by layer of voxels from the brain's edge inward, "
    "a panel an arm, a line a scanner; the mean over people. At the edge lies mostly cerebrospinal fluid, whose "
    "brightness an arm may rightly change; a line that bends sharply at layer 1 is an arm that changes the edge "
    "itself, as a network does that smooths it into the 0 outside. The diamond on the left is the bias at the edge, "
    "tissue by tissue."
)
NARROWEST = 1.4
"""Inches that a panel needs."""

SHOWN = {"edge_bias": "edge", **{column: layer for layer, column in BIASES.items()}}
"""By column of the measure's table what stands under it."""


def make(run: FinishedRun) -> style.Page | None:
    """Draw `metrics/edge.tsv`; nothing for a run without it."""
    table = run.table("metrics/edge.tsv", ["method", "scanner", *SHOWN])
    if table is None:
        return None
    table = table[(table["method"] != RAW) & table[BIASES["1"]].notna()]
    if table.empty:
        return None
    means = table.groupby(["method", "scanner"], sort=False)[list(SHOWN)].mean().reset_index()
    looks = style.looks(run.arms)
    return plot(
        means,
        arms={arm: run.label(arm) for arm in run.arms_in(table)},
        looks=looks,
        scanners=run.scanners,
        simulated=run.simulated,
        notes=[style.counted([table["subject"].nunique()], "subjects"), *run.notes()],
    )


@style.styled
def plot(
    means: pd.DataFrame,
    *,
    arms: Mapping[str, str],
    looks: Mapping[str, Look],
    scanners: Sequence[str],
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw mean biases: columns method, scanner and those of `SHOWN`.

    `arms` are labels and `looks` looks by arm.
    """
    on = medium()
    by_arm = len(scanners) > MOST_SCANNERS
    lines = {arm: Look(looks[arm].color, line="--" if looks[arm].hatch else "-") for arm in arms}
    titles = dict(arms) if by_arm else {scanner: scanner for scanner in scanners}
    columns = min(MOST_COLUMNS, int(on.width / NARROWEST))
    rows = -(-len(titles) // columns)
    figure = style.page(
        TITLE,
        height=rows * (on.panel_height(1.9, rows) or on.scaled(1.3)),
        simulated=simulated,
        notes=[f"A line for each of {len(scanners)} scanners." if by_arm else "", *notes],
        legend={} if by_arm else {label: lines[arm] for arm, label in arms.items()},
    )
    figure.caption = BY_ARM if by_arm else ""
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in grid.ravel()[len(titles) :]:
        axis.set_axis_off()
    size = on.scaled(1.0 if by_arm else 3.0)
    for place, (axis, (name, title)) in enumerate(zip(grid.ravel(), titles.items(), strict=False)):
        axis.axhline(0, color=style.INK, linewidth=0.7)
        shown = means[means["method" if by_arm else "scanner"] == name]
        for arm, values in zip(shown["method"], shown[list(SHOWN)].to_numpy(), strict=True):
            color, dashes = lines[arm].color, lines[arm].line
            axis.plot(0, values[0], "D", color=color, markersize=size + 1)
            axis.plot(
                range(1, len(SHOWN)), values[1:], dashes, color=color, marker="o", markersize=size, linewidth=size / 2
            )
        axis.set_xticks(range(len(SHOWN)), list(SHOWN.values()), fontsize=on.small)
        axis.set_title(style.fit_lines(title, on.width / columns - on.scaled(0.4), 1, on.text, "bold"))
        if place % columns == 0:
            axis.set_ylabel("of the brain's mean")
        if place + columns >= len(titles):
            axis.set_xlabel("layer from the edge")
    return figure
