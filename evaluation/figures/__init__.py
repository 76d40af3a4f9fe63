"""The figures: every module `figure*.py` in this folder is one.

Such a module has a `TITLE`, a `TOPIC` (the report's tab that shows it; without one, it is "Further"), a
`CAPTION` (what the report prints under it) and `make(run: FinishedRun) -> style.Page | None`, the figure on the
medium that is drawn on, or None where the run has nothing for it. `ROLES` says which arms it is about
(`core.names.Role`; by default all but further seeds), `PAPER` which of a paper's media suit it ("column" and
"page", by default both). Dropping a file in is all it takes to add a figure;
`python -m evaluation figures RUN` draws it and the report shows it.

For the report a figure is `RUN/figures/<module>.png` and `.svg`, with title, topic, caption and the places of people's
dots in `<module>.json` beside them. For a paper (`--paper`) it is `RUN/figures/paper/<module>_column.pdf` and
`_page.pdf`, each as `.png`, too, and with its caption in `.txt`, since neither the title nor the mark "simulated"
stands in the picture.
"""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType

from core.files import write_json, write_text
from evaluation.figures import media
from evaluation.runs.finished_run import WITHOUT_SEEDS, FinishedRun, read_run


def names() -> list[str]:
    """The figures' names, which are those of their modules: the paper's first, each in the order of its name."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("figure"))


def load(name: str) -> ModuleType:
    """The module of a figure."""
    return importlib.import_module(f"{__name__}.{name}")


def about(figure: ModuleType) -> dict[str, str]:
    """What a figure says of itself: its title, the report's tab that shows it, and its caption."""
    topic = getattr(figure, "TOPIC", "Further")
    return {"title": figure.TITLE, "topic": topic, "caption": figure.CAPTION}


def draw(run: Path | str, *, paper: bool = False, threads: int = 1) -> list[Path]:
    """Draw every figure of a finished run, for the report or for a paper, from the files in its folder alone.

    `threads` figures are drawn at a time, in processes of their own. A figure that the run has nothing for
    is left out, and an old picture of it removed. Returns what was written. Raises `InputError` where the
    folder holds no run or a table lacks a column.
    """
    every = names()
    some = partial(_draw_some, run, paper=paper)
    if threads == 1:
        return [path for paths in some(every) for path in paths]
    shares = [every[first::threads] for first in range(threads)]
    drawn: dict[str, list[Path]] = {}
    with ProcessPoolExecutor(threads, mp_context=multiprocessing.get_context("spawn")) as processes:
        for share, found in zip(shares, processes.map(some, shares), strict=True):
            drawn |= dict(zip(share, found, strict=True))
    return [path for name in every for path in drawn[name]]


def _draw_some(run: Path | str, chosen: Sequence[str], *, paper: bool) -> list[list[Path]]:
    """Draw some figures of a run, which is read once for all of them; of each what was written."""
    opened = read_run(run)
    return [(draw_for_paper if paper else draw_one)(opened, name) for name in chosen]


def draw_one(run: Path | str | FinishedRun, name: str) -> list[Path]:
    """Draw one figure for the report, and write beside it what it is: title, topic and caption, as JSON."""
    # matplotlib is slow to import, and whoever has figures drawn elsewhere has no use for it
    from evaluation.figures import style

    opened, figure = _opened(run, name)
    page, folder = figure.make(opened), opened.files.figures
    _remove(folder.glob(f"{name}.*"))
    if page is None:
        return []
    told = folder / f"{name}.json"
    paths = style.save(page, folder, name)
    own = {"caption": page.caption} if page.caption else {}
    write_json(told, about(figure) | own | {"people": page.places_of_people()})
    return [*paths, told]


def draw_for_paper(run: Path | str | FinishedRun, name: str) -> list[Path]:
    """Draw one figure at the widths of a paper, and write its caption, which says "simulated", beside each."""
    from evaluation.figures import style

    opened, figure = _opened(run, name)
    folder = opened.files.paper_figures
    _remove(folder.glob(f"{name}_*"))
    paths: list[Path] = []
    for medium in media.PAPER:
        with media.on(medium):
            fits = medium.name in getattr(figure, "PAPER", (medium.name,))
            page = figure.make(opened) if fits else None
            if page is not None:
                told = folder / f"{name}_{medium.name}.txt"
                write_text(told, page.in_words(figure.CAPTION))
                paths += [*style.save(page, folder, name), told]
    return paths


def _opened(run: Path | str | FinishedRun, name: str) -> tuple[FinishedRun, ModuleType]:
    """A run with the arms that a figure is about, and the figure's module."""
    figure = load(name)
    opened = run if isinstance(run, FinishedRun) else read_run(run)
    return opened.only(*getattr(figure, "ROLES", WITHOUT_SEEDS)), figure


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()
