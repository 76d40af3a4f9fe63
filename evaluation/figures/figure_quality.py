"""Every preprocessed scan with the atlas's edges over it, those to be looked at first."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import ndimage

from core.images import load_image
from core.names import RAW
from core.scan_quality import PRESENT
from core.sheet import SESSION
from evaluation.figures import panels, slices, style
from evaluation.figures.media import medium
from evaluation.runs.finished_run import FinishedRun, text

TITLE = "Quality of the preprocessing"
TOPIC = "Preprocessing"
CAPTION = (
    "An axial and a coronal slice of every scan as it entered the study, with the atlas's edges over it (orange): the "
    "border of its brain and of its white matter. They should follow the scan's. Scans that were flagged have a red "
    "frame and their reason in the table; people with flagged, failed or left-out scans come first. Rescans "
    "have rows of their own."
)
MOST_ROWS = 12
NARROWEST = 1.0
"""Inches that a scan's two slices need."""

PAPER = ("page",)
EDGES, FLAGGED = style.PALETTE[1], "#c00000"


@style.styled
def plot(
    pictures: Mapping[tuple[str, str], np.ndarray],
    grays: Mapping[tuple[str, str], tuple[float, float]],
    atlas: np.ndarray,
    level: float,
    *,
    rows: Sequence[str],
    scanners: Sequence[str],
    absences: Mapping[tuple[str, str], str],
    flagged: Sequence[tuple[str, str]],
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw pictures (rows, columns) by (row, scanner), all of the shape of `atlas`, whose edges lie over them.

    A row of the figure holds a person's scans, or that person's rescans. `level` is the atlas's intensity between
    gray and white matter; `absences` says why a scan has no picture.
    """
    ratio = atlas.shape[0] / atlas.shape[1]
    on = medium()
    tallest = (on.tallest - on.scaled(1.5)) / len(rows) - 0.08
    side = min(on.scaled(3.0), (on.width - 0.6) / len(scanners), tallest / ratio)
    figure = style.page(
        TITLE,
        height=len(rows) * (side * ratio + 0.08) + on.scaled(0.3),
        simulated=simulated,
        notes=notes,
        width=max(5.0, side * len(scanners) + 0.6) if on.titled else side * len(scanners) + 0.6,
    )
    grid = figure.subplots(len(rows), len(scanners), squeeze=False)
    for row, person in enumerate(rows):
        for column, scanner in enumerate(scanners):
            axis, key = grid[row, column], (person, scanner)
            if key in pictures:
                panels.show_slice(axis, pictures[key], grays[key], (1.0, 1.0))
                draw_edges(axis, atlas, level)
                if key in flagged:
                    _frame(axis)
            else:
                panels.say_no_scan(axis, absences.get(key, "no scan"))
                axis.set_box_aspect(ratio)
            if row == 0:
                axis.set_title(style.fit_lines(scanner, side - 0.1, 2, on.text + 0.5, "bold"))
            if column == 0:
                axis.set_ylabel(style.fit_lines(person, side * ratio, 1, on.text, "bold"), weight="bold")
    return figure


def draw_edges(axis: Axes, atlas: np.ndarray, level: float) -> None:
    """Contours of the atlas's brain and of its white matter."""
    smooth = ndimage.gaussian_filter(atlas, 0.7)
    axis.contour((atlas > 0).astype(float), levels=[0.5], colors=EDGES, linewidths=0.7)
    axis.contour(smooth, levels=[level], colors=EDGES, linewidths=0.45)


def _frame(axis: Axes) -> None:
    for spine in axis.spines.values():
        spine.set(visible=True, color=FLAGGED, linewidth=1.8)


def make(run: FinishedRun) -> style.Page | None:
    """Draw the preprocessed scans of a study that came with its native ones; nothing for others."""
    table = run.table("study/quality.tsv", ["subject", "scanner", "status", "flags"])
    place = run.files.study.atlas
    if table is None or not place.is_file():
        return None
    table = table.assign(row=_rows(table), flags=table["flags"].map(text))
    reasons = {(row["row"], row["scanner"]): row["flags"] for row in table.to_dict("records")}
    absent = table[~table["status"].isin(PRESENT)]
    absences = dict(zip(_keys(absent), absent["status"].str.replace("_", " "), strict=True))
    subjects = list(dict.fromkeys([*table.loc[table["flags"] != "", "subject"], *table["subject"]]))
    of_each = [list(dict.fromkeys(table.loc[table["subject"] == subject, "row"])) for subject in subjects]
    people = max(1, sum(count <= MOST_ROWS for count in itertools.accumulate(map(len, of_each))))
    rows = list(itertools.chain(*of_each[:people]))
    atlas, edges_mm = slices.canonical(*load_image(place))
    box = slices.brain_box(atlas)
    shown, grays = {}, {}
    for key, path in zip(_keys(table), _images(table, run), strict=True):
        if path is not None and key[0] in rows:
            image = slices.read_canonical(path)[0]
            shown[key] = _pair(image, box)
            grays[key] = slices.gray_range([image])
    if not shown:
        return None
    inside = atlas[atlas > 0]
    notes = [f"Voxels of {edges_mm[0]:g} mm; each scan has its own gray scale."]
    scanners = list(dict.fromkeys([*table.loc[table["flags"] != "", "scanner"], *table["scanner"]]))
    most = int((medium().width - 0.6) / medium().scaled(NARROWEST))
    if most < len(scanners):
        notes.append(f"{most} of {len(scanners)} scanners are shown, those with flagged scans first.")
        scanners = scanners[:most]
    else:
        scanners = list(dict.fromkeys(table["scanner"]))
    if people < len(subjects):
        notes.append(f"{people} of {len(subjects)} people are shown.")
    return plot(
        shown,
        grays,
        _pair(atlas, box),
        float((np.percentile(inside, 35) + np.percentile(inside, 85)) / 2),
        rows=rows,
        scanners=scanners,
        absences=absences,
        flagged=[key for key, reason in reasons.items() if reason],
        simulated=run.simulated,
        notes=notes,
    )


def _rows(table: pd.DataFrame) -> list[str]:
    """The row of the figure that each scan stands in: the person's, or of that person's first rescans, and so on."""
    again = table.groupby(["subject", "scanner"]).cumcount()
    return [
        f"{subject}, rescan {number}" if number else subject
        for subject, number in zip(table["subject"], again, strict=True)
    ]


def _images(table: pd.DataFrame, run: FinishedRun) -> list[Path | None]:
    """RAW's image of each scan that didn't fail; the sheet has them in the same order, the first as the scan."""
    left: dict[tuple[str, str], list[str]] = {}
    for subject, scanner in zip(run.scans["subject"], run.scans["scanner"], strict=True):
        left[subject, scanner] = [""]
    for row in run.rescans.to_dict("records"):
        left[row["subject"], row["scanner"]].append(row[SESSION])
    found: list[Path | None] = []
    for row in table.to_dict("records"):
        sessions = left.get((row["subject"], row["scanner"]))
        if row["status"] not in PRESENT or not sessions:
            found.append(None)
        else:
            found.append(run.image_path(RAW, row["subject"], row["scanner"], sessions.pop(0)))
    return found


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["row"], table["scanner"], strict=True))


def _pair(image: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """An axial and a coronal slice of a canonical image beside each other, cut to the box, (rows, columns)."""
    cut = image[box]
    pictures = [slices.upright(cut, axis, int(part * (cut.shape[axis] - 1))) for axis, part in ((2, 0.53), (1, 0.5))]
    rows = max(picture.shape[0] for picture in pictures)
    padded = [np.pad(picture, ((0, rows - picture.shape[0]), (0, 0))) for picture in pictures]
    return np.concatenate(padded, axis=1)
