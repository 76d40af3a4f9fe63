"""Figure 4: one slice, arms by scanners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from evaluation.figures import panels, slices, style
from evaluation.figures.media import medium
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm",)

TITLE = "Figure 4. One slice, before and after"
TOPIC = "Images"
CAPTION = (
    "The same axial slice of one subject: rows are arms, columns scanners; front at the top, the subject's left on "
    "the left. Each row has one gray scale, from the 0.5th to the 99.5th percentile of the row's brain voxels, "
    "since arms differ in units: look for likeness along a row, and for detail and contrast that an arm has lost."
)
MOST_SCANNERS = 8
NARROWEST = 0.5
"""Inches that a slice needs."""

SCALE_WIDTH = 0.05
"""Width of a row's gray scale as a share of a picture's."""


@style.styled
def plot(
    slices: Mapping[tuple[str, str], np.ndarray],
    grays: Sequence[tuple[float, float]],
    *,
    arms: Sequence[str],
    scanners: Sequence[str],
    edges_mm: tuple[float, float],
    subject: str,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw slices in a grid.

    `slices` maps (method, scanner) to pixels (rows, columns), all of one shape; a missing one keeps its
    empty place. `grays` holds each row's lowest and highest intensity, `edges_mm` a pixel's height and
    width.
    """
    shape = next(iter(slices.values())).shape
    ratio = shape[0] * edges_mm[0] / (shape[1] * edges_mm[1])
    on = medium()
    gaps = 2 * on.gap + 0.04
    tallest = (on.tallest - on.scaled(1.2)) / len(arms) - 0.09
    margin = names_margin() + on.scaled(0.6)
    side = min(on.scaled(2.1), (on.width - margin) / len(scanners), tallest / ratio + gaps)
    figure = style.page(
        f"{TITLE}: subject {subject}",
        height=len(arms) * ((side - gaps) * ratio + 0.09) + on.scaled(0.3),
        simulated=simulated,
        notes=["n = 1 subject; intensities in each arm's own arbitrary units (a.u.).", *notes],
        width=max(5.0, side * len(scanners) + margin) if on.titled else side * len(scanners) + margin,
    )
    grid = figure.subplots(
        len(arms),
        len(scanners) + 1,
        squeeze=False,
        gridspec_kw={"width_ratios": [1.0] * len(scanners) + [SCALE_WIDTH], "wspace": 0.02},
    )
    for row, arm in enumerate(arms):
        for column, scanner in enumerate(scanners):
            axis = grid[row, column]
            pixels = slices.get((arm, scanner))
            if pixels is None:
                panels.say_no_scan(axis)
                axis.set_box_aspect(ratio)
            else:
                panels.show_slice(axis, pixels, grays[row], edges_mm)
            if row == 0:
                axis.set_title(style.fit_lines(scanner, side - 0.1, 3, on.text + 0.5, "bold"))
            if column == 0:
                _write_name(axis, arm, (side - gaps) * ratio)
        panels.show_gray_scale(grid[row, -1], grays[row])
        grid[row, -1].set_box_aspect(ratio / SCALE_WIDTH)
    return figure


def names_margin() -> float:
    """Inches that the arms' names take: a line or two upright in the report, lines beside the slices on paper."""
    return 0.4 if medium().titled else 0.75


def _write_name(axis: Axes, arm: str, inches: float) -> None:
    """An arm's name at the left of its row of `inches`."""
    on = medium()
    if on.titled:
        axis.set_ylabel(style.fit_lines(arm, inches, 2, on.text, "bold"), weight="bold")
    else:
        lines = max(1, int(inches / (1.25 * on.small / 72)))
        name = style.fit_lines(arm, names_margin() - 0.13, lines, on.small, "bold")
        axis.set_ylabel(name, weight="bold", fontsize=on.small, rotation=0, ha="right", va="center")


def most_scanners() -> int:
    """How many scanners' slices stand beside each other."""
    on = medium()
    return min(MOST_SCANNERS, int((on.width - names_margin() - on.scaled(0.6)) / NARROWEST))


def make(run: FinishedRun) -> style.Page:
    """Draw the first subject who has all (or the most) images, just above the middle of the brain."""
    arms = run.with_images()
    subject = run.example_subject(arms)
    if subject is None:
        return style.nothing_to_draw(TITLE, "The run has no images.", simulated=run.simulated, notes=run.notes())
    volumes: dict[tuple[str, str], np.ndarray] = {}
    edges_mm = np.ones(3)
    scanners, notes = panels.some(run.scanners, most_scanners(), "scanners")
    for arm in arms:
        for scanner in scanners:
            path = run.image_path(arm, subject, scanner)
            if path is not None:
                volumes[arm, scanner], edges_mm = slices.read_canonical(path)
    union = np.any([volume != 0 for volume in volumes.values()], axis=0)
    box = slices.brain_box(union)
    level = slices.example_level(box, union.shape)
    drawn = [arm for arm in arms if any(key[0] == arm for key in volumes)]
    return plot(
        {
            (run.label(arm), scanner): slices.upright(volume[box[0], box[1]], 2, level)
            for (arm, scanner), volume in volumes.items()
        },
        [slices.gray_range(volume for (owner, _), volume in volumes.items() if owner == arm) for arm in drawn],
        arms=[run.label(arm) for arm in drawn],
        scanners=scanners,
        edges_mm=(float(edges_mm[1]), float(edges_mm[0])),
        subject=subject,
        simulated=run.simulated,
        notes=[*notes, *run.notes()],
    )
