"""How each arm differs from RAW by distance from the brain's edge, scanner by scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from core.names import RAW
from evaluation.figures import style
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
COLUMNS_OF_PANELS = 4
SHOWN = {"edge_bias": "edge", **{column: layer for layer, column in BIASES.items()}}
"""By column of the measure's table what stands under it."""


def draw(run: FinishedRun) -> list[Path]:
    """Draw `metrics/edge.tsv`; nothing for a run without it."""
    table = run.table("metrics/edge.tsv", ["method", "scanner", *SHOWN])
    if table is None:
        return []
    table = table[(table["method"] != RAW) & table[BIASES["1"]].notna()]
    if table.empty:
        return []
    means = table.groupby(["method", "scanner"], sort=False)[list(SHOWN)].mean().reset_index()
    looks = style.looks(run.arms)
    figure = plot(
        means,
        arms={arm: run.label(arm) for arm in run.arms_in(table)},
        looks=looks,
        scanners=run.scanners,
        simulated=run.simulated,
        notes=[style.counted([table["subject"].nunique()], "subjects"), *run.notes()],
    )
    return style.save(figure, run.files.figures, "figure_edge")


@style.styled
def plot(
    means: pd.DataFrame,
    *,
    arms: Mapping[str, str],
    looks: Mapping[str, Look],
    scanners: Sequence[str],
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw mean biases: columns method, scanner and those of `SHOWN`.

    `arms` are labels and `looks` looks by arm.
    """
    rows = -(-len(scanners) // COLUMNS_OF_PANELS)
    lines = {arm: Look(looks[arm].color, line="--" if looks[arm].hatch else "-") for arm in arms}
    figure = style.page(
        TITLE,
        height=1.9 * rows,
        simulated=simulated,
        notes=notes,
        legend={label: lines[arm] for arm, label in arms.items()},
    )
    grid = figure.subplots(rows, COLUMNS_OF_PANELS, squeeze=False, sharey=True)
    for place, axis in enumerate(grid.ravel()):
        if place >= len(scanners):
            axis.set_axis_off()
            continue
        axis.axhline(0, color=style.INK, linewidth=0.7)
        of_scanner = means[means["scanner"] == scanners[place]].set_index("method")[list(SHOWN)]
        for arm, values in of_scanner.iterrows():
            look = lines[str(arm)]
            axis.plot(0, values.iloc[0], "D", color=look.color, markersize=4)
            axis.plot(range(1, len(SHOWN)), values.iloc[1:], look.line, color=look.color, marker="o", markersize=3)
        axis.set_xticks(range(len(SHOWN)), list(SHOWN.values()), fontsize=style.SMALL_SIZE)
        axis.set_title(style.fit_lines(scanners[place], 2.0, 1, style.TEXT_SIZE, "bold"))
        if place % COLUMNS_OF_PANELS == 0:
            axis.set_ylabel("of the brain's mean")
        if place // COLUMNS_OF_PANELS == rows - 1:
            axis.set_xlabel("layer from the edge")
    return figure
