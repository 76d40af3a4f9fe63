"""What is left between the scanners in one slice, and where: each image's difference from the person's mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.figures import panels, slices, style
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
MOST_SCANNERS = 8
SCALE_WIDTH = 0.05
"""Width of the color scale as a share of a picture's."""


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
) -> Figure:
    """Draw slices in a grid.

    `pictures` maps (arm, scanner) to a residual's slice (rows, columns) in percent, all of one shape, and its root
    mean square over the brain; `edges_mm` are a pixel's height and width.
    """
    shape = next(iter(pictures.values()))[0].shape
    ratio = shape[0] * edges_mm[0] / (shape[1] * edges_mm[1])
    side = min(1.35, (style.WIDTH - 1.0) / len(scanners))
    figure = style.page(
        f"{TITLE}: subject {subject}",
        height=len(arms) * ((side - 0.2) * ratio + 0.26) + 0.3,
        simulated=simulated,
        notes=["n = 1 subject.", *notes],
        width=max(5.0, side * len(scanners) + 1.0),
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
            if (arm, scanner) in pictures:
                pixels, left = pictures[arm, scanner]
                axis.imshow(
                    pixels, cmap="RdBu_r", vmin=-FULL, vmax=FULL, aspect=edges_mm[0] / edges_mm[1], interpolation="none"
                )
                panels.frame(axis)
                axis.set_xlabel(f"{left:.1f} %", fontsize=style.SMALL_SIZE, labelpad=1)
            else:
                panels.say_no_scan(axis)
                axis.set_box_aspect(ratio)
            if row == 0:
                axis.set_title(style.fit_lines(scanner, side - 0.1, 3, style.TEXT_SIZE, "bold"))
            if column == 0:
                axis.set_ylabel(style.fit_lines(arm, (side - 0.2) * ratio, 2, style.TEXT_SIZE, "bold"), weight="bold")
        if row == 0:
            _show_scale(grid[row, -1])
            grid[row, -1].set_box_aspect(ratio / SCALE_WIDTH)
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
    axis.tick_params(labelsize=6.5, length=2)
    axis.set_ylabel("%", fontsize=7)
    axis.set_label("gray scale")


def draw(run: FinishedRun) -> list[Path]:
    """Draw the subject of Figure 4; nothing where no arm has images of two scanners."""
    arms = run.with_images()
    subject = run.example_subject(arms)
    scanners = run.scanners[:MOST_SCANNERS]
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
        return []
    drawn = list(dict.fromkeys(label for label in map(run.label, arms) if any(key[0] == label for key in pictures)))
    fewer = f"The first {len(scanners)} of {len(run.scanners)} scanners." if len(scanners) < len(run.scanners) else ""
    figure = plot(
        pictures,
        arms=drawn,
        scanners=scanners,
        edges_mm=(float(edges_mm[1]), float(edges_mm[0])),
        subject=subject,
        simulated=run.simulated,
        notes=[fewer, *run.notes()],
    )
    return style.save(figure, run.files.figures, "figure_residuals")
