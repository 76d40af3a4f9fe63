"""What MISPEL's encoders and decoders make of one slice, scanner by scanner (the paper's Figure 2)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.errors import InputError
from evaluation.figures import panels, slices, style
from evaluation.figures.media import medium
from evaluation.runs.finished_run import FinishedRun

TITLE = "MISPEL's embeddings of one slice"
TOPIC = "Training"
CAPTION = (
    "The same slice of one subject from each scanner (rows): the scan, the L embeddings that the scanner's encoder "
    "makes of it, and the harmonized slice that its decoder sums from them (Fig. 2 of the paper; Eq. 1). A column has "
    "one gray scale, from its 0.5th to its 99.5th percentile. The coupling loss makes the maps of a column alike "
    "across scanners, while the maps of a row differ in what they show; an empty map is a dead one."
)


MOST_SCANNERS = 8
PAPER = ("page",)


@style.styled
def plot(
    columns: Sequence[tuple[str, np.ndarray]],
    scanners: Sequence[str],
    *,
    what: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> style.Page:
    """Draw columns of pictures (scanners, rows, columns) under their titles, one gray scale a column."""
    _, height, width = columns[0][1].shape
    ratio = height / width
    on = medium()
    gaps = 2 * on.gap + 0.03
    tallest = (on.tallest - on.scaled(1.2)) / len(scanners) - 0.09
    side = min(on.scaled(1.7), (on.width - 0.6) / len(columns), tallest / ratio + gaps)
    figure = style.page(
        f"{TITLE}{': ' if what else ''}{what}",
        height=len(scanners) * ((side - gaps) * ratio + 0.09) + on.scaled(0.3),
        simulated=simulated,
        notes=["Intensities and activations in arbitrary units; n = 1 slice.", *notes],
        width=max(5.0, side * len(columns) + 0.6) if on.titled else side * len(columns) + 0.6,
    )
    grid = figure.subplots(len(scanners), len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(columns):
        low, high = slices.gray_range(pictures)
        for row, scanner in enumerate(scanners):
            axis = grid[row, column]
            axis.imshow(pictures[row], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            panels.frame(axis)
            if row == 0:
                axis.set_title(title)
            if column == 0:
                name = style.fit_lines(scanner, (side - gaps) * ratio, 2, on.text, "bold")
                axis.set_ylabel(name, weight="bold")
    return figure


def read_columns(path: Path) -> tuple[list[tuple[str, np.ndarray]], list[str], str]:
    """Read what a model left of one slice: titled columns (scanners, rows, columns), scanners, whose slice.

    The npz file holds `embeddings` (scanners, L, rows, columns) and `scanners`, and may hold `images` and
    `outputs` (scanners, rows, columns), `subject` and `slice`. Raises `InputError` for anything else.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            if not {"embeddings", "scanners"} <= set(content) or content["embeddings"].ndim != 4:
                raise InputError(f"{path}: no array 'embeddings' of (scanners, L, rows, columns); fit the model anew")
            maps = np.moveaxis(content["embeddings"].astype(np.float32), 1, 0)
            columns = [(f"l = {number}", pictures) for number, pictures in enumerate(maps, start=1)]
            if "images" in content:
                columns.insert(0, ("scan", content["images"]))
            if "outputs" in content:
                columns.append(("harmonized", content["outputs"]))
            scanners = [str(name) for name in content["scanners"]]
            told = [f"{word} {content[word]}" for word in ("subject", "slice") if word in content]
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}); fit the model anew") from None
    return columns, scanners, ", ".join(told)


def make(run: FinishedRun) -> style.Page | None:
    """Draw the `embeddings.npz` under `models/` that comes first; nothing where there is none."""
    files = run.model_files("embeddings.npz")
    if not files:
        return None
    name, path = files[0]
    columns, scanners, what = read_columns(run.folder / path)
    more = [f"From {name}, the first of {len(files)} models."] if len(files) > 1 else []
    shown, left_out = panels.some(scanners, MOST_SCANNERS, "scanners")
    places = [scanners.index(scanner) for scanner in shown]
    columns = [(title, pictures[places]) for title, pictures in columns]
    return plot(columns, shown, what=what, simulated=run.simulated, notes=[*left_out, *more, *run.notes()])
