"""The tables: every module `table*.py` in this folder is one.

Such a module has `make(run: FinishedRun) -> Table | None`, None where the run has nothing for it; the
table's name is the module's. `ROLES` says which arms it is about (`core.names.Role`; by default all but
further seeds). Dropping a file in is all it takes to add a table; `python -m evaluation
tables RUN` writes it and the report shows it.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path

from evaluation.runs.finished_run import WITHOUT_SEEDS, read_run
from evaluation.tables.writing import write


def names() -> list[str]:
    """The tables' names, which are those of their modules: the paper's first, each in the order of its name."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("table"))


def draw(folder: Path | str) -> list[Path]:
    """Write every table of a finished run into `RUN/tables`, as TSV, Markdown and LaTeX; returns what was written.

    They are made from the files in the run's folder alone. Raises `InputError` where the run has no
    numbers, or no statistics yet.
    """
    run = read_run(folder)
    simulated = " (simulated)" if run.simulated else ""
    written: list[Path] = []
    for name in names():
        module = importlib.import_module(f"{__name__}.{name}")
        table = module.make(run.only(*getattr(module, "ROLES", WITHOUT_SEEDS)))
        if table is not None:
            written += write(replace(table, title=table.title + simulated), run.files.tables)
    return written
