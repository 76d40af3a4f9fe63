"""Every measure's name, unit, range and direction, collected from the files of this folder.

Statistics, tables and figures read these instead of knowing any measure themselves.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from graphlib import CycleError, TopologicalSorter
from types import ModuleType

import evaluation.measures
from core.errors import InputError, nearest
from evaluation.measures.interface import Measure, Summary

APART = ("interface", "registry")


@cache
def modules() -> tuple[ModuleType, ...]:
    """The measures' files, by name."""
    names = sorted(found.name for found in pkgutil.iter_modules(evaluation.measures.__path__))
    return tuple(importlib.import_module(f"evaluation.measures.{name}") for name in names if name not in APART)


def paired() -> list[ModuleType]:
    """The files whose rows are of pairs, of scanners or of a scan and its rescan."""
    return [module for module in modules() if getattr(module, "PAIRS", False)]


@cache
def studied() -> tuple[ModuleType, ...]:
    """The files with an `of_study`, each after those whose tables it needs; raises `InputError` for a circle."""
    having = {module.__name__.rpartition(".")[2]: module for module in modules() if hasattr(module, "of_study")}
    needs = {name: getattr(module, "AFTER", ()) for name, module in having.items()}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise InputError(f"measures need each other's tables in a circle: {', '.join(error.args[1])}") from None
    for name in order:
        if name not in having:
            raise InputError(f"a measure is to come after '{name}', which makes no tables{nearest(name, having)}")
    return tuple(having[name] for name in order)


@cache
def measures() -> dict[str, Measure]:
    """Every measure by its name; raises `InputError` when two share one."""
    found: dict[str, Measure] = {}
    for module in modules():
        for measure in getattr(module, "MEASURES", ()):
            if measure.name in found:
                raise InputError(f"two measures are called '{measure.name}'; rename the one in {module.__name__}")
            found[measure.name] = measure
    return found


def summarized() -> list[tuple[Measure, Summary]]:
    """The measures that enter the summary, and how each does."""
    return [(measure, measure.summary) for measure in measures().values() if measure.summary is not None]


def find(name: str) -> Measure:
    """The measure of that name; raises `InputError` with the nearest known one."""
    if name not in measures():
        raise InputError(f"no measure '{name}'{nearest(name, measures())}")
    return measures()[name]
