"""The figures: every module `figure*.py` in this folder is one.

Such a module has a `TITLE`, a `TOPIC` (the report's tab that shows it; without one, it is "Further"), a
`CAPTION` (what the report prints under it) and
`draw(run: FinishedRun) -> list[Path]`, which writes `run.folder/figures/<module>.png` and `.svg` and
returns their paths, or nothing where the run has nothing for it.  Dropping a file in is all it takes to
add a figure; `python -m evaluation figures RUN` draws it and the report shows it.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from evaluation.figures.finished_run import read_run


def figures() -> list[ModuleType]:
    """The figures' modules, the paper's first, each in the order of its name."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("figure")]
    return [importlib.import_module(f"{__name__}.{name}") for name in sorted(names)]


def name_of(figure: ModuleType) -> str:
    """A figure's file name without its suffix: the name of its module."""
    return figure.__name__.rpartition(".")[2]


def topic_of(figure: ModuleType) -> str:
    """The report's tab that shows a figure."""
    return getattr(figure, "TOPIC", "Further")


def draw(run: Path | str) -> list[Path]:
    """Draw every figure of a finished run into `run/figures/`, from the files in its folder alone.

    A figure that the run has nothing for is left out, and an old picture of it removed.  Returns what
    was written.  Raises `InputError` where the folder holds no run or a table lacks a column.
    """
    opened = read_run(run)
    written: list[Path] = []
    for figure in figures():
        paths = figure.draw(opened)
        if not paths:
            for suffix in ("png", "svg"):
                (opened.folder / "figures" / f"{name_of(figure)}.{suffix}").unlink(missing_ok=True)
        written += paths
    return written
