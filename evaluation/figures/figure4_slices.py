"""Figure 4: one slice, arms by scanners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from evaluation.figures import panels, slices, style
from evaluation.runs.finished_run import FinishedRun

TITLE = "Figure 4. One slice, before and after"
TOPIC = "Images"
CAPTION = (
    "The same axial slice of one subject: rows are arms, columns scanners; front at the top, the subject's left on "
    "the left. Each row has one grey scale, from the 0.5th to the 99.5th percentile of the row's brain voxels, "
    "since arms differ in units: look for likeness along a row, and for detail and contrast that an arm has lost."
)
SCALE_WIDTH = 0.05
"""Width of a row's grey scale as a share of a picture's."""


@style.styled
def plot(
    slices: Mapping[tuple[str, str], np.ndarray],
    greys: Sequence[tuple[float, float]],
    *,
    methods: Sequence[str],
    scanners: Sequence[str],
    edges_mm: tuple[float, float],
    subject: str,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw slices in a grid.

    `slices` maps (method, scanner) to pixels (rows, columns), all of one shape; a missing one keeps its
    empty place.  `greys` holds each row's lowest and highest intensity, `edges_mm` a pixel's height and
    width.
    """
    shape = next(iter(slices.values())).shape
    ratio = shape[0] * edges_mm[0] / (shape[1] * edges_mm[1])
    side = min(2.1, (style.WIDTH - 1.0) / len(scanners))
    figure = style.page(
        f"{TITLE}: subject {subject}",
        height=len(methods) * ((side - 0.2) * ratio + 0.09) + 0.3,
        simulated=simulated,
        notes=["n = 1 subject; intensities in each arm's own arbitrary units (a.u.).", *notes],
        width=max(5.0, side * len(scanners) + 1.0),
    )
    grid = figure.subplots(
        len(methods),
        len(scanners) + 1,
        squeeze=False,
        gridspec_kw={"width_ratios": [1.0] * len(scanners) + [SCALE_WIDTH], "wspace": 0.02},
    )
    for row, method in enumerate(methods):
        for column, scanner in enumerate(scanners):
            axis = grid[row, column]
            pixels = slices.get((method, scanner))
            if pixels is None:
                panels.say_no_scan(axis)
                axis.set_box_aspect(ratio)
            else:
                panels.show_slice(axis, pixels, greys[row], edges_mm)
            if row == 0:
                axis.set_title(style.fit_lines(scanner, side - 0.1, 3, style.TEXT_SIZE + 0.5, "bold"))
            if column == 0:
                axis.set_ylabel(
                    style.fit_lines(method, (side - 0.2) * ratio, 2, style.TEXT_SIZE, "bold"), weight="bold"
                )
        panels.show_grey_scale(grid[row, -1], greys[row])
        grid[row, -1].set_box_aspect(ratio / SCALE_WIDTH)
    return figure


def draw(run: FinishedRun) -> list[Path]:
    """Draw the first subject who has all (or the most) images, just above the middle of the brain."""
    folder, name = run.files.figures, "figure4_slices"
    methods = run.with_images()
    subject = run.example_subject(methods)
    if subject is None:
        figure = style.page(TITLE, height=1.0, simulated=run.simulated, notes=run.notes())
        style.say_nothing_to_draw(figure, "The run has no images.")
        return style.save(figure, folder, name)
    volumes: dict[tuple[str, str], np.ndarray] = {}
    edges_mm = np.ones(3)
    for method in methods:
        for scanner in run.scanners:
            path = run.image_path(method, subject, scanner)
            if path is not None:
                volumes[method, scanner], edges_mm = slices.read_canonical(path)
    union = np.any([volume != 0 for volume in volumes.values()], axis=0)
    box = slices.brain_box(union)
    level = slices.example_level(box, union.shape)
    drawn = [method for method in methods if any(key[0] == method for key in volumes)]
    figure = plot(
        {
            (run.label(method), scanner): slices.upright(volume[box[0], box[1]], 2, level)
            for (method, scanner), volume in volumes.items()
        },
        [slices.grey_range(volume for (owner, _), volume in volumes.items() if owner == method) for method in drawn],
        methods=[run.label(method) for method in drawn],
        scanners=run.scanners,
        edges_mm=(float(edges_mm[1]), float(edges_mm[0])),
        subject=subject,
        simulated=run.simulated,
        notes=run.notes(),
    )
    return style.save(figure, folder, name)
