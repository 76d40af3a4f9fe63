"""Which methods there are: every file of this folder, MISPEL, and other distributions' entry points."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType

import baselines
from baselines.interface import Method
from studies.errors import InputError, nearest

ENTRY_POINT_GROUP = "mispel_benchmark.methods"


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(baselines.__path__):
        if not found.name.startswith("_"):
            yield importlib.import_module(f"baselines.{found.name}")
    yield importlib.import_module("mispel.method")


def _classes() -> Iterator[type[Method]]:
    for module in _modules():
        for candidate in vars(module).values():
            if (
                inspect.isclass(candidate)
                and issubclass(candidate, Method)
                and not inspect.isabstract(candidate)
                and candidate.__module__ == module.__name__
            ):
                yield candidate
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        yield entry.load()


@cache
def methods() -> dict[str, type[Method]]:
    """Every method by its id, sorted; raises `InputError` when two share an id."""
    found: dict[str, type[Method]] = {}
    for candidate in _classes():
        if candidate.id in found:
            raise InputError(
                f"two methods are called '{candidate.id}': {found[candidate.id].__module__} and "
                f"{candidate.__module__}; rename one"
            )
        found[candidate.id] = candidate
    return dict(sorted(found.items()))


def method(name: str) -> type[Method]:
    """The method of this id; raises `InputError` naming the nearest known one."""
    if name not in methods():
        raise InputError(f"there is no method '{name}'{nearest(name, methods())}; see `python -m baselines list`")
    return methods()[name]


def label(name: str) -> str:
    """What tables and figures call an arm: its method's label, or its id where no method has that id."""
    return methods()[name].label if name in methods() else name
