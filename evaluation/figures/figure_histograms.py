"""Histograms of brain intensities by scanner, for every arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np

from core.images import load_image
from evaluation.figures import style
from evaluation.figures.media import medium
from evaluation.figures.style import Look
from evaluation.runs.finished_run import FinishedRun

TITLE = "Intensities by scanner, before and after"
TOPIC = "Images"
CAPTION = (
    "A panel an arm, a line a scanner: the histogram of the brain's intensities, people's histograms averaged. Each "
    "arm's intensities are on its own range, 0 its 0.5th and 1 its 99.5th percentile over all scanners, as its images "
    "are compared and segmented. Where an arm makes scanners alike the lines of its panel fall together; lines that "
    "are alike are no proof that the same tissue has the same intensity."
)
BINS = 100
LOWEST, HIGHEST = -0.15, 1.15
PEOPLE = 6
"""As many are read: a histogram of six brains has a million voxels."""
STRIDE = 8
NARROWEST = 1.5
"""Inches that a panel needs."""
MOST_NAMES = 12
"""More scanners than this are drawn alike, without names."""


def histograms(images: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """Mean histograms of people's brains by scanner, (BINS,) densities on the arm's range from LOWEST to HIGHEST.

    `images` are brain voxels (N,) in any unit, an array a person; the range is that of all of them together, by every
    `STRIDE`th voxel.
    """
    sample = np.concatenate([brain[::STRIDE] for brains in images.values() for brain in brains])
    low, high = np.percentile(sample, [0.5, 99.5])
    edges = np.linspace(LOWEST, HIGHEST, BINS + 1)
    width = edges[1] - edges[0]
    # a flat arm has no range: all in one bin
    unit = float(high - low) or 1.0
    return {
        scanner: np.mean([np.histogram((brain - low) / unit, edges)[0] / (brain.size * width) for brain in brains], 0)
        for scanner, brains in images.items()
    }


@style.styled
def plot(
    curves: Mapping[str, Mapping[str, np.ndarray]],
    *,
    scanners: Sequence[str],
    people: int,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw densities (BINS,) by arm's label and scanner: a panel an arm, a line a scanner, all on the same axes."""
    on = medium()
    columns = min(3, int(on.width / NARROWEST))
    rows = -(-len(curves) // columns)
    panel = min(on.scaled(1.75), (on.tallest - on.scaled(1.6)) / rows)
    looks = _looks(scanners)
    named = len(scanners) <= MOST_NAMES
    figure = style.page(
        TITLE,
        height=rows * panel + on.scaled(0.2),
        simulated=simulated,
        legend=looks if named else None,
        notes=[f"n = {people} people per line.", "" if named else f"{len(scanners)} scanners, a line each.", *notes],
    )
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    places = np.linspace(LOWEST, HIGHEST, BINS + 1)
    middles = (places[:-1] + places[1:]) / 2
    for axis, label in zip(grid.flat, curves, strict=False):
        for scanner, density in curves[label].items():
            look = looks[scanner]
            axis.plot(middles, density, look.line, color=look.color, linewidth=1.3 if named else 0.6)
        axis.set_title(style.fit_lines(label, on.width / columns - on.scaled(0.5), 2, on.text, "bold"))
        axis.set_xticks([0, 0.5, 1])
        axis.set_xlim(LOWEST, HIGHEST)
    for axis in list(grid.flat)[len(curves) :]:
        axis.set_axis_off()
    for axis in grid[:, 0]:
        axis.set_ylabel("density")
        axis.set_ylim(bottom=0)
    return figure


def _looks(scanners: Sequence[str]) -> dict[str, Look]:
    """A line a scanner, of colors that no arm has."""
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(scanners)))
    lines: tuple[style.Line, ...] = ("-", "--", "-.", ":")
    return {
        scanner: Look(matplotlib.colors.to_hex(color), line=lines[place % len(lines)])
        for place, (scanner, color) in enumerate(zip(scanners, colors, strict=True))
    }


def make(run: FinishedRun) -> style.Page | None:
    """Draw the first people who have images; nothing where there are none."""
    curves: dict[str, dict[str, np.ndarray]] = {}
    subjects: set[str] = set()
    for arm in run.with_images():
        images: dict[str, list[np.ndarray]] = {}
        for subject in run.subjects[:PEOPLE]:
            for scanner in run.scanners:
                path = run.image_path(arm, subject, scanner)
                if path is not None:
                    image = load_image(path)[0]
                    images.setdefault(scanner, []).append(image[image != 0])
                    subjects.add(subject)
        if images:
            curves[run.label(arm)] = histograms(images)
    if not curves:
        return None
    return plot(curves, scanners=run.scanners, people=len(subjects), simulated=run.simulated, notes=run.setback_notes())
