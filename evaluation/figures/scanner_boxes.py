"""Boxes by scanner, which several figures draw."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.names import PAPER_TISSUES
from evaluation.figures import panels, spreads, style
from evaluation.figures.media import medium
from evaluation.figures.style import Look
from evaluation.runs.finished_run import FinishedRun

BOX = 0.128
"""Inches in the report that a box needs."""

OVER_SCANNERS = (
    "Medians over subjects by tissue and arm, a value a scanner, since there are too many scanners for a box each. The "
    "same people were scanned on every scanner, so in an ideally harmonized arm a box is flat."
)


def volumes_of(table: pd.DataFrame, subjects: Sequence[str], scanners: Sequence[str], column: str) -> np.ndarray:
    """One arm's and tissue's values as (subjects, scanners), NaN where there is none."""
    wide = table.pivot_table(index="subject", columns="scanner", values=column, aggfunc="mean")
    return wide.reindex(index=list(subjects), columns=list(scanners)).to_numpy(dtype=float)


@style.styled
def plot(
    volumes: dict[str, np.ndarray],
    *,
    arms: Sequence[str],
    scanners: Sequence[str],
    looks: Sequence[Look],
    title: str,
    unit: str = "volume (mL)",
    people: Sequence[str] = (),
    zero_line: bool = False,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw boxes: a row of panels a tissue, a group an arm, a box a scanner.

    `volumes` maps a tissue to values (methods, subjects, scanners) in mL, NaN where there is none;
    `methods` are labels, `looks` their colors, `people` the subjects.
    """
    on = medium()
    rows = panels.chunks(len(arms), max(1, panels.a_row(BOX) // len(scanners)))
    counts = np.isfinite(np.stack(list(volumes.values()))).sum(axis=2)
    widest = max(len(row) for row in rows)
    room = on.width - on.scaled(panels.AXIS)
    _, angle = style.fit(scanners, room / (widest * (len(scanners) + 0.9)), on.small)
    panel = on.panel_height(2.0 + (0.08 * min(22, max(map(len, scanners))) if angle else 0.2), len(volumes) * len(rows))
    if panel is None:
        return _over_scanners(
            volumes,
            arms=arms,
            looks=looks,
            title=title,
            unit=unit,
            zero_line=zero_line,
            simulated=simulated,
            notes=[f"Points, or what lies beyond whiskers, are {len(scanners)} scanners.", *notes],
        )
    figure = style.page(
        title,
        height=panel * len(volumes) * len(rows),
        simulated=simulated,
        legend=dict(zip(arms, looks, strict=True)),
        notes=[style.counted(counts.ravel(), "subjects per box"), spreads.BOXES, *notes],
    )
    grid = figure.subplots(len(volumes) * len(rows), 1, squeeze=False)[:, 0]
    for number, (tissue, values) in enumerate(volumes.items()):
        finite = np.append(values[np.isfinite(values)], [0.0] if zero_line else [])
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
        margin = 0.06 * (high - low) or 1.0
        for place, row in enumerate(rows):
            axis = grid[number * len(rows) + place]
            boxes, centers = panels.grouped_boxes(axis, values[list(row)], looks=[looks[m] for m in row], people=people)
            if zero_line:
                axis.axhline(0, color=style.INK, linewidth=0.9, zorder=1)
            axis.set_ylim(low - margin, high + margin)
            axis.set_ylabel(f"{tissue} {unit}")
            inches = room / (len(row) * (len(scanners) + 0.9))
            names = [_with_count(scanners[s], counts[number, m, s], counts) for m in row for s in range(len(scanners))]
            style.set_group_labels(axis, boxes.ravel(), names, inches)
            axis.tick_params(axis="x", length=0)
            for left, right in itertools.pairwise(centers):
                axis.axvline((left + right) / 2, color="#d0d0d0", linewidth=0.8, zorder=1)
    return figure


def _over_scanners(volumes: dict[str, np.ndarray], *, unit: str, **about: Any) -> style.Page:
    """The figure of too many scanners: a box an arm over its scanners' medians."""
    with warnings.catch_warnings():
        # a scanner on which an arm has nobody
        warnings.simplefilter("ignore", RuntimeWarning)
        medians = {f"{tissue} {unit}": np.nanmedian(values, axis=1) for tissue, values in volumes.items()}
    return spreads.plot(medians, caption=OVER_SCANNERS, **about)


def _with_count(name: str, count: int, counts: np.ndarray) -> str:
    """A scanner's name, with n where it isn't the figure's usual one."""
    return name if count == counts.max() else f"{name}\nn={count}"


def by_tissue(run: FinishedRun, table: pd.DataFrame, arms: Sequence[str], column: str) -> dict[str, np.ndarray]:
    """A scan-wise measure as {tissue: (methods, subjects, scanners)}."""
    return {
        tissue: np.stack(
            [
                volumes_of(
                    table[(table["method"] == arm) & (table["tissue"] == tissue)],
                    run.subjects,
                    run.scanners,
                    column,
                )
                for arm in arms
            ]
        )
        for tissue in PAPER_TISSUES
        if (table["tissue"] == tissue).any()
    }
