"""What is left between the scanners in one slice, and where: each image's difference from the person's mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from evaluation.figures import panels, picture_grid, slices, style
from evaluation.figures.media import medium
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm", "permuted", "blur")

TITLE = "What is left between scanners, and where"
TOPIC = "Images"
CAPTION = (
    "The same axial slice of one subject: rows are arms, columns scanners. Red is brighter than the mean of the "
    "person's scans by that arm, blue is darker, in percent of the arm's gray range (0.5th to 99.5th percentile of the "
    "brain); the number is the root mean square over the whole brain. An arm that makes scanners alike is pale all "
    "over; so is one that blurs or flattens, which Figure 4 shows. What is left along the borders of tissues is "
    "contrast or sharpness; what is left in patches is shading. Controls that make all scans equal are left out."
)
FULL = 20.0
"""Percent of the gray range that are shown in full color."""


def residuals(images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A person's images (X, Y, Z) of one arm, by scanner, minus their mean, in percent of the arm's gray range.

    0 outside the brain of any; NaN nowhere. All images have one shape.
    """
    low, high = slices.gray_range(images.values())
    brain = np.all([image != 0 for image in images.values()], axis=0)
    middle = np.mean([image.astype(np.float64) for image in images.values()], axis=0)
    return {scanner: np.where(brain, 100 * (image - middle) / (high - low), 0) for scanner, image in images.items()}


def root_mean_square(residual: np.ndarray) -> float:
    """Over the voxels of a residual that aren't exactly 0; 0 where there are none."""
    inside = residual[residual != 0]
    return float(np.sqrt(np.mean(inside**2))) if inside.size else 0.0


@style.styled
def plot(
    pictures: Mapping[tuple[str, str], tuple[np.ndarray, float]],
    *,
    arms: Sequence[str],
    scanners: Sequence[str],
    edges_mm: tuple[float, float],
    subject: str,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw slices in a grid.

    `pictures` maps (arm, scanner) to a residual's slice (rows, columns) in percent, all of one shape, and its root
    mean square over the brain; `edges_mm` are a pixel's height and width.
    """
    shape = next(iter(pictures.values()))[0].shape
    ratio = shape[0] * edges_mm[0] / (shape[1] * edges_mm[1])
    figure, grid = picture_grid.layout(
        f"{TITLE}: subject {subject}",
        arms=arms,
        scanners=scanners,
        ratio=ratio,
        widest=1.35,
        under=0.17,
        simulated=simulated,
        notes=["n = 1 subject.", *notes],
    )
    for row, arm in enumerate(arms):
        for axis, scanner in zip(grid[row], scanners, strict=False):
            if (arm, scanner) not in pictures:
                panels.say_no_scan(axis)
                axis.set_box_aspect(ratio)
                continue
            pixels, left = pictures[arm, scanner]
            axis.imshow(
                pixels, cmap="RdBu_r", vmin=-FULL, vmax=FULL, aspect=edges_mm[0] / edges_mm[1], interpolation="none"
            )
            panels.frame(axis)
            axis.set_xlabel(f"{left:.1f} %", fontsize=medium().small, labelpad=1)
        if row == 0:
            _show_scale(grid[row, -1])
            grid[row, -1].set_box_aspect(ratio / picture_grid.SCALE_WIDTH)
        else:
            grid[row, -1].set_axis_off()
    return figure


def _show_scale(axis: Axes) -> None:
    axis.imshow(np.linspace(1, -1, 256)[:, None], cmap="RdBu_r", extent=(0, 1, -FULL, FULL), aspect="auto")
    axis.grid(False)
    axis.set_xticks([])
    axis.yaxis.tick_right()
    axis.yaxis.set_label_position("right")
    axis.set_yticks([-FULL, 0, FULL])
    axis.tick_params(labelsize=medium().tiny, length=2)
    axis.set_ylabel("%", fontsize=medium().tiny)
    axis.set_label("gray scale")


def make(run: FinishedRun) -> style.Page | None:
    """Draw the subject of Figure 4; nothing where no arm has images of two scanners."""
    arms = run.with_images()
    subject = run.example_subject(arms)
    scanners, fewer = panels.some(run.scanners, picture_grid.most_scanners(), "scanners")
    pictures: dict[tuple[str, str], tuple[np.ndarray, float]] = {}
    box: tuple[slice, ...] = ()
    edges_mm = np.ones(3)
    for arm in arms:
        images: dict[str, np.ndarray] = {}
        for scanner in run.scanners:
            path = run.image_path(arm, subject, scanner) if subject is not None else None
            if path is not None:
                images[scanner], edges_mm = slices.read_canonical(path)
        if len(images) < 2:
            continue
        box = box or slices.brain_box(np.any([image != 0 for image in images.values()], axis=0))
        left = residuals(images)
        for scanner in set(scanners) & set(left):
            level = slices.example_level(box, left[scanner].shape)
            pixels = slices.upright(left[scanner][box[0], box[1]], 2, level)
            pictures[run.label(arm), scanner] = (pixels, root_mean_square(left[scanner]))
    if subject is None or not pictures:
        return None
    drawn = list(dict.fromkeys(label for label in map(run.label, arms) if any(key[0] == label for key in pictures)))
    return plot(
        pictures,
        arms=drawn,
        scanners=scanners,
        edges_mm=(float(edges_mm[1]), float(edges_mm[0])),
        subject=subject,
        simulated=run.simulated,
        notes=[*fewer, *run.notes()],
    )
