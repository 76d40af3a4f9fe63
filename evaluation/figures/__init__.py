"""The figures: every module `figure*.py` in this folder is one.

Such a module has a `TITLE`, a `TOPIC` (the report's tab that shows it; without one, it is "Further"), a
`CAPTION` (what the report prints under it) and
`draw(run: FinishedRun) -> list[Path]`, which writes `run.folder/figures/<module>.png` and `.svg` and
returns their paths, or nothing where the run has nothing for it. `ROLES` says which arms it is about
(`core.names.Role`; by default all but further seeds). Title, topic and caption go into
`<module>.json` beside them, from which the report is made. Dropping a file in is all it takes to
add a figure; `python -m evaluation figures RUN` draws it and the report shows it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

from core.files import write_json
from evaluation.runs.finished_run import WITHOUT_SEEDS, read_run


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


def draw(run: Path | str, *, threads: int = 1) -> list[Path]:
    """Draw every figure of a finished run into `run/figures/`, from the files in its folder alone.

    `threads` figures are drawn at a time, in processes of their own. A figure that the run has nothing for
    is left out, and an old picture of it removed. Returns what was written. Raises `InputError` where the
    folder holds no run or a table lacks a column.
    """
    if threads == 1:
        return [path for name in names() for path in draw_one(run, name)]
    with ProcessPoolExecutor(threads, mp_context=multiprocessing.get_context("spawn")) as processes:
        return [path for paths in processes.map(draw_one, [run] * len(names()), names()) for path in paths]


def draw_one(run: Path | str, name: str) -> list[Path]:
    """Draw one figure, and write beside it what it is: title, topic and caption, as JSON."""
    opened, figure = read_run(run), load(name)
    told = opened.files.figures / f"{name}.json"
    paths = figure.draw(opened.only(*getattr(figure, "ROLES", WITHOUT_SEEDS)))
    if paths:
        write_json(told, about(figure))
        return [*paths, told]
    for suffix in (".png", ".svg", ".json"):
        told.with_suffix(suffix).unlink(missing_ok=True)
    return []
