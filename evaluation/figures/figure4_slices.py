"""Figure 4: one slice, arms by scanners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.figures import panels, picture_grid, slices, style
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm",)

TITLE = "Figure 4. One slice, before and after"
TOPIC = "Images"
CAPTION = (
    "The same axial slice of one subject: rows are arms, columns scanners; front at the top, the subject's left on "
    "the left. Each row has one gray scale, from the 0.5th to the 99.5th percentile of the row's brain voxels, "
    "since arms differ in units: look for likeness along a row, and for detail and contrast that an arm has lost."
)


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
    figure, grid = picture_grid.layout(
        f"{TITLE}: subject {subject}",
        arms=arms,
        scanners=scanners,
        ratio=ratio,
        widest=2.1,
        simulated=simulated,
        notes=["n = 1 subject; intensities in each arm's own arbitrary units (a.u.).", *notes],
    )
    for row, arm in enumerate(arms):
        for axis, scanner in zip(grid[row], scanners, strict=False):
            pixels = slices.get((arm, scanner))
            if pixels is None:
                panels.say_no_scan(axis)
                axis.set_box_aspect(ratio)
            else:
                panels.show_slice(axis, pixels, grays[row], edges_mm)
        panels.show_gray_scale(grid[row, -1], grays[row])
        grid[row, -1].set_box_aspect(ratio / picture_grid.SCALE_WIDTH)
    return figure


def make(run: FinishedRun) -> style.Page:
    """Draw the first subject who has all (or the most) images, just above the middle of the brain."""
    arms = run.with_images()
    subject = run.example_subject(arms)
    if subject is None:
        return style.nothing_to_draw(TITLE, "The run has no images.", simulated=run.simulated, notes=run.notes())
    volumes: dict[tuple[str, str], np.ndarray] = {}
    edges_mm = np.ones(3)
    scanners, notes = panels.some(run.scanners, picture_grid.most_scanners(), "scanners")
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
