"""What MISPEL's encoders see: the embeddings of one slice, scanner by scanner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from evaluation.figures import panels, style
from evaluation.figures.finished_run import FinishedRun
from studies.errors import InputError

TITLE = "MISPEL's embeddings of one slice"
CAPTION = (
    "The L embeddings (columns) that each scanner's encoder (rows) makes of the same slice of one subject. A column "
    "has one grey scale, from its 0.5th to its 99.5th percentile: the coupling loss makes the maps of a column "
    "alike across scanners, while the maps of a row differ in what they show. An empty map is a dead one."
)


@style.styled
def plot(
    embeddings: np.ndarray,
    scanners: Sequence[str],
    *,
    what: str = "",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw embeddings (scanners, L, rows, columns) as they lie on the slice, one grey scale a column."""
    _, maps, height, width = embeddings.shape
    side = min(1.7, (style.WIDTH - 0.6) / maps)
    ratio = height / width
    page = style.page(
        f"{TITLE}{': ' if what else ''}{what}",
        height=len(scanners) * (side * ratio + 0.06) + 0.3,
        simulated=simulated,
        notes=["Activations in arbitrary units; n = 1 slice.", *notes],
        width=max(5.0, side * maps + 0.6),
    )
    grid = page.body.subplots(len(scanners), maps, squeeze=False)
    for column in range(maps):
        finite = embeddings[:, column][np.isfinite(embeddings[:, column])]
        low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0.0, 1.0)
        for row, scanner in enumerate(scanners):
            axis = grid[row, column]
            axis.imshow(
                embeddings[row, column],
                cmap="gray",
                vmin=low,
                vmax=high if high > low else low + 1.0,
                interpolation="nearest",
            )
            panels.frame(axis)
            if row == 0:
                axis.set_title(f"l = {column + 1}")
            if column == 0:
                axis.set_ylabel(style.fit_lines(scanner, side * ratio - 0.1, 2, style.TEXT_SIZE, "bold"), weight="bold")
    return page.figure


def read_embeddings(path: Path) -> tuple[np.ndarray, list[str], str]:
    """Read `embeddings` (scanners, L, rows, columns), `scanners`, and what slice it is, from an npz file."""
    with np.load(path, allow_pickle=False) as content:
        if "embeddings" not in content or content["embeddings"].ndim != 4:
            raise InputError(f"{path}: no array 'embeddings' of (scanners, L, rows, columns); fit the model anew")
        embeddings = content["embeddings"].astype(np.float32)
        scanners = [str(name) for name in content["scanners"]]
        told = [f"{word} {content[word]}" for word in ("subject", "slice") if word in content]
    return embeddings, scanners, ", ".join(told)


def draw(run: FinishedRun) -> list[Path]:
    """Draw the `embeddings.npz` under `models/` that comes first; nothing where there is none."""
    files = run.model_files("embeddings.npz")
    if not files:
        return []
    name, path = files[0]
    embeddings, scanners, what = read_embeddings(run.folder / path)
    more = [f"From {name}, the first of {len(files)} models."] if len(files) > 1 else []
    figure = plot(embeddings, scanners, what=what, simulated=run.simulated, notes=[*more, *run.notes()])
    return style.save(figure, run.folder / "figures", "figure_mispel_embeddings")
