"""Every preprocessed scan with the atlas's edges over it, those to be looked at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage

from core.images import load_image
from core.names import RAW
from evaluation.figures import panels, slices, style
from evaluation.runs.finished_run import FinishedRun, text

TITLE = "Quality of the preprocessing"
TOPIC = "Preprocessing"
CAPTION = (
    "An axial and a coronal slice of every scan as it entered the study, with the atlas's edges over it (orange): the "
    "border of its brain and of its white matter. They should follow the scan's. Scans that were flagged have a red "
    "frame and their reason in the table; people with flagged or failed scans come first."
)
MOST_PEOPLE = 12
EDGES, FLAGGED = style.PALETTE[1], "#c00000"


@style.styled
def plot(
    pictures: Mapping[tuple[str, str], np.ndarray],
    grays: Mapping[tuple[str, str], tuple[float, float]],
    atlas: np.ndarray,
    level: float,
    *,
    subjects: Sequence[str],
    scanners: Sequence[str],
    failed: Mapping[tuple[str, str], str],
    flagged: Sequence[tuple[str, str]],
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw pictures (rows, columns) by (subject, scanner), all of the shape of `atlas`, whose edges lie over them.

    `level` is the atlas's intensity between gray and white matter; `failed` scans have none.
    """
    ratio = atlas.shape[0] / atlas.shape[1]
    side = min(3.0, (style.WIDTH - 0.6) / len(scanners))
    figure = style.page(
        TITLE,
        height=len(subjects) * (side * ratio + 0.08) + 0.3,
        simulated=simulated,
        notes=notes,
        width=max(5.0, side * len(scanners) + 0.6),
    )
    grid = figure.subplots(len(subjects), len(scanners), squeeze=False)
    for row, subject in enumerate(subjects):
        for column, scanner in enumerate(scanners):
            axis, key = grid[row, column], (subject, scanner)
            if key in pictures:
                panels.show_slice(axis, pictures[key], grays[key], (1.0, 1.0))
                draw_edges(axis, atlas, level)
                if key in flagged:
                    _frame(axis)
            else:
                panels.say_no_scan(axis, "failed" if key in failed else "no scan")
                axis.set_box_aspect(ratio)
            if row == 0:
                axis.set_title(style.fit_lines(scanner, side - 0.1, 2, style.TEXT_SIZE + 0.5, "bold"))
            if column == 0:
                axis.set_ylabel(style.fit_lines(subject, side * ratio, 1, style.TEXT_SIZE, "bold"), weight="bold")
    return figure


def draw_edges(axis: Axes, atlas: np.ndarray, level: float) -> None:
    """Contours of the atlas's brain and of its white matter."""
    smooth = ndimage.gaussian_filter(atlas, 0.7)
    axis.contour((atlas > 0).astype(float), levels=[0.5], colors=EDGES, linewidths=0.7)
    axis.contour(smooth, levels=[level], colors=EDGES, linewidths=0.45)


def _frame(axis: Axes) -> None:
    for spine in axis.spines.values():
        spine.set(visible=True, color=FLAGGED, linewidth=1.8)


def draw(run: FinishedRun) -> list[Path]:
    """Draw the preprocessed scans of a study that came with its native ones; nothing for others."""
    table = run.table("study/quality.tsv", ["subject", "scanner", "status", "flags"])
    place = run.files.study.atlas
    if table is None or not place.is_file():
        return []
    reasons = {(row["subject"], row["scanner"]): text(row["flags"]) for row in table.to_dict("records")}
    failed = {key: reasons[key] for key in _keys(table[table["status"] == "failed"])}
    troubled = [subject for subject, scanner in reasons if reasons[subject, scanner]]
    subjects = list(dict.fromkeys([*troubled, *table["subject"]]))
    atlas, edges_mm = slices.canonical(*load_image(place))
    box = slices.brain_box(atlas)
    shown, grays = {}, {}
    for subject, scanner in _keys(table):
        path = run.image_path(RAW, subject, scanner)
        if path is not None and subject in subjects[:MOST_PEOPLE]:
            image = slices.read_canonical(path)[0]
            shown[subject, scanner] = _pair(image, box)
            grays[subject, scanner] = slices.gray_range([image])
    if not shown:
        return []
    inside = atlas[atlas > 0]
    notes = [f"Voxels of {edges_mm[0]:g} mm; each scan has its own gray scale."]
    if len(subjects) > MOST_PEOPLE:
        notes.append(f"{MOST_PEOPLE} of {len(subjects)} people are shown.")
    figure = plot(
        shown,
        grays,
        _pair(atlas, box),
        float((np.percentile(inside, 35) + np.percentile(inside, 85)) / 2),
        subjects=subjects[:MOST_PEOPLE],
        scanners=list(dict.fromkeys(table["scanner"])),
        failed=failed,
        flagged=[key for key, reason in reasons.items() if reason],
        simulated=run.simulated,
        notes=notes,
    )
    return style.save(figure, run.files.figures, "figure_quality")


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["subject"], table["scanner"], strict=True))


def _pair(image: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """An axial and a coronal slice of a canonical image beside each other, cut to the box, (rows, columns)."""
    cut = image[box]
    pictures = [slices.upright(cut, axis, int(part * (cut.shape[axis] - 1))) for axis, part in ((2, 0.53), (1, 0.5))]
    rows = max(picture.shape[0] for picture in pictures)
    padded = [np.pad(picture, ((0, rows - picture.shape[0]), (0, 0))) for picture in pictures]
    return np.concatenate(padded, axis=1)
