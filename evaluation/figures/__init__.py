"""The figures: every module `figure*.py` in this folder is one.

Such a module has a `TITLE`, a `TOPIC` (the report's tab that shows it; without one, it is "Further"), a
`CAPTION` (what the report prints under it) and
`draw(run: FinishedRun) -> list[Path]`, which writes `run.folder/figures/<module>.png` and `.svg` and
returns their paths, or nothing where the run has nothing for it.  Dropping a file in is all it takes to
add a figure; `python -m evaluation figures RUN` draws it and the report shows it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

from evaluation.runs.finished_run import read_run


def figures() -> list[ModuleType]:
    """The figures' modules, the paper's first, each in the order of its name."""
    return [importlib.import_module(f"{__name__}.{name}") for name in _names()]


def _names() -> list[str]:
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("figure"))


def name_of(figure: ModuleType) -> str:
    """A figure's file name without its suffix: the name of its module."""
    return figure.__name__.rpartition(".")[2]


def topic_of(figure: ModuleType) -> str:
    """The report's tab that shows a figure."""
    return getattr(figure, "TOPIC", "Further")


def draw(run: Path | str, *, threads: int = 1) -> list[Path]:
    """Draw every figure of a finished run into `run/figures/`, from the files in its folder alone.

    `threads` figures are drawn at a time, in processes of their own.  A figure that the run has nothing for
    is left out, and an old picture of it removed.  Returns what was written.  Raises `InputError` where the
    folder holds no run or a table lacks a column.
    """
    names = _names()
    if threads == 1:
        return [path for name in names for path in _draw_one(run, name)]
    with ProcessPoolExecutor(threads, mp_context=multiprocessing.get_context("spawn")) as processes:
        return [path for paths in processes.map(_draw_one, [run] * len(names), names) for path in paths]


def _draw_one(run: Path | str, name: str) -> list[Path]:
    opened = read_run(run)
    paths = importlib.import_module(f"{__name__}.{name}").draw(opened)
    if not paths:
        for suffix in ("png", "svg"):
            (opened.folder / "figures" / f"{name}.{suffix}").unlink(missing_ok=True)
    return paths
