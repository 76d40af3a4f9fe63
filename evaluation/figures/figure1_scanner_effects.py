"""Figure 1: what the scanners do to one person's brain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.names import RAW
from evaluation.figures import panels, slices, style
from evaluation.figures.media import medium
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm",)

TITLE = "Figure 1. Scanner effects"
TOPIC = "Images"
CAPTION = (
    "One subject's RAW scans from all scanners. Top: the same axial slice on one gray scale, front at the top, "
    "the subject's left on the left. Bottom: the intensities of the whole brain, on identical axes; the gray "
    "lines repeat the other scanners' histograms. The slices show the same tissue, so whatever differs between "
    "them comes from the scanners."
)
BINS = 120
MOST_COLUMNS, MOST_SCANNERS = 5, 10
NARROWEST = 1.2
"""Inches that a scanner's histogram needs."""


@style.styled
def plot(
    images: Mapping[str, np.ndarray],
    scanners: Sequence[str],
    *,
    edges_mm: np.ndarray,
    subject: str,
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw slices over histograms.

    `images` maps a scanner to its canonical image (X, Y, Z), 0 outside the brain; `edges_mm` are the
    voxel's edges (3,). A scanner without an image keeps its empty place.
    """
    first = next(iter(images.values()))
    union = np.zeros(first.shape, dtype=bool)
    for image in images.values():
        union |= image != 0
    box = slices.brain_box(union)
    level = slices.example_level(box, union.shape)
    gray = slices.gray_range(images.values())
    brains = {scanner: image[image != 0] for scanner, image in images.items()}
    highest = max(float(np.percentile(brain, 99.9)) for brain in brains.values())
    lowest = min(0.0, *(float(np.percentile(brain, 0.1)) for brain in brains.values()))
    edges = np.linspace(lowest, highest, BINS + 1)
    shares = {s: 100 * np.histogram(brain, edges)[0] / brain.size for s, brain in brains.items()}
    tallest = max(share.max() for share in shares.values()) * 1.06

    on = medium()
    blocks = panels.chunks(len(scanners), most_columns())
    columns = max(len(block) for block in blocks)
    shape = slices.upright(union[box[0], box[1]], 2, level).shape
    picture = (on.width / columns - on.scaled(0.3)) * shape[0] * edges_mm[1] / (shape[1] * edges_mm[0])
    picture = min(picture, on.scaled(3.2), (on.tallest - on.scaled(1.0)) / len(blocks) - on.scaled(2.0))
    figure = style.page(
        f"{TITLE}: subject {subject}",
        height=(picture + on.scaled(2.0)) * len(blocks),
        simulated=simulated,
        notes=["n = 1 subject; a.u.: arbitrary units, the study's scale of RAW.", *notes],
    )
    grid = figure.subplots(
        2 * len(blocks), columns, squeeze=False, gridspec_kw={"height_ratios": [picture, on.scaled(1.7)] * len(blocks)}
    )
    for row, block in enumerate(blocks):
        for column in range(columns):
            top, bottom = grid[2 * row, column], grid[2 * row + 1, column]
            if column >= len(block):
                top.set_axis_off()
                bottom.set_axis_off()
                continue
            scanner = scanners[block[column]]
            top.set_title(style.fit_lines(scanner, on.width / columns - 0.2, 3, on.text + 0.5, "bold"))
            if scanner in images:
                pixels = slices.upright(images[scanner][box[0], box[1]], 2, level)
                panels.show_slice(top, pixels, gray, (edges_mm[1], edges_mm[0]))
            else:
                panels.say_no_scan(top)
            for other, share in shares.items():
                if other != scanner:
                    bottom.stairs(share, edges, color="#bdbdbd", linewidth=0.7)
            if scanner in shares:
                bottom.stairs(shares[scanner], edges, fill=True, color=style.PALETTE[0], alpha=0.35)
                bottom.stairs(shares[scanner], edges, color=style.PALETTE[0], linewidth=1.2)
            bottom.set_xlim(edges[0], edges[-1])
            bottom.set_ylim(0, tallest)
            bottom.tick_params(labelsize=on.small)
            bottom.set_xlabel("intensity (a.u.)")
            if column == 0:
                bottom.set_ylabel("brain voxels (% per bin)")
            else:
                bottom.tick_params(labelleft=False)
    return figure


def most_columns() -> int:
    """How many scanners stand beside each other."""
    return min(MOST_COLUMNS, int(medium().width / NARROWEST))


def make(run: FinishedRun) -> style.Page:
    """Draw the RAW scans of the first subject who has all (or the most) of them."""
    subject = run.example_subject([RAW])
    if subject is None:
        return style.nothing_to_draw(TITLE, "The run has no RAW images.", simulated=run.simulated, notes=run.notes())
    images, edges_mm = {}, np.ones(3)
    columns = most_columns()
    # three rows of scanners at most, on the narrow column
    scanners, notes = panels.some(run.scanners, min(MOST_SCANNERS, 3 * columns), "scanners")
    for scanner in scanners:
        path = run.image_path(RAW, subject, scanner)
        if path is not None:
            images[scanner], edges_mm = slices.read_canonical(path)
    return plot(images, scanners, edges_mm=edges_mm, subject=subject, simulated=run.simulated, notes=notes)
