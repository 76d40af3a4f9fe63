"""Which methods there are: every file of this folder, MISPEL, and other distributions' entry points."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import baselines
from baselines.interface import Harmonizer, Method, VolumeMethod
from core.errors import InputError, nearest

ENTRY_POINT_GROUP = "mispel_benchmark.methods"
FRAMEWORK = ("commands", "harness", "interface")
"""What lies beside the methods and is none."""


def _names() -> Iterator[str]:
    """The methods of this project: the files of this folder that aren't the framework's, and MISPEL."""
    for found in pkgutil.iter_modules(baselines.__path__):
        if not found.name.startswith("_") and found.name not in FRAMEWORK:
            yield found.name
    yield "mispel"


def _load(name: str) -> type[Harmonizer]:
    """The method of this project that is called `name`; raises `InputError` where its file holds another, or none."""
    module = importlib.import_module("mispel.method" if name == "mispel" else f"baselines.{name}")
    found = [
        candidate
        for candidate in vars(module).values()
        if inspect.isclass(candidate)
        and issubclass(candidate, Harmonizer)
        and not inspect.isabstract(candidate)
        and candidate.__module__ == module.__name__
    ]
    if [candidate.id for candidate in found] != [name]:
        ids = ", ".join(candidate.id for candidate in found) or "none"
        raise InputError(
            f"{module.__file__}: holds the methods {ids}; a file holds one, and its id is the file's name, '{name}'"
        )
    return found[0]


def _entries() -> Iterator[EntryPoint]:
    """Other distributions' methods; raises `InputError` for one under a name that is taken."""
    taken: dict[str, str] = dict.fromkeys(_names(), "this project")
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name in taken:
            raise InputError(
                f"two methods are called '{entry.name}': {entry.value} and {taken[entry.name]}'s; rename one"
            )
        taken[entry.name] = entry.value
        yield entry


def _load_entry(entry: EntryPoint) -> type[Harmonizer]:
    found: type[Harmonizer] = entry.load()
    if found.id != entry.name:
        raise InputError(
            f"the method {entry.value} has the id '{found.id}' and the entry point '{entry.name}'; make them one"
        )
    return found


@cache
def methods() -> dict[str, type[Harmonizer]]:
    """Every method by its id, sorted; raises `InputError` when two share an id."""
    found = {name: _load(name) for name in _names()} | {entry.name: _load_entry(entry) for entry in _entries()}
    return dict(sorted(found.items()))


@cache
def method(name: str) -> type[Harmonizer]:
    """The method of this id, of which alone the file is loaded; raises `InputError` naming the nearest known one."""
    if name in _names():
        return _load(name)
    entries = {entry.name: entry for entry in _entries()}
    if name not in entries:
        raise InputError(
            f"there is no method '{name}'{nearest(name, [*_names(), *entries])}; see `python -m baselines list`"
        )
    return _load_entry(entries[name])


def image_method(name: str) -> type[Method]:
    """The method of this id. Raises `InputError` for one that gives volumes."""
    chosen = method(name)
    if not issubclass(chosen, Method):
        raise InputError(f"'{name}' gives volumes, no images; name a method of images")
    return chosen


def volume_method(name: str) -> type[VolumeMethod]:
    """The method of this id. Raises `InputError` for one that gives images."""
    chosen = method(name)
    if not issubclass(chosen, VolumeMethod):
        raise InputError(f"'{name}' gives images, no volumes; name a method of volumes")
    return chosen


def label(name: str) -> str:
    """What tables and figures call an arm: its method's label, or its id where no method has that id."""
    return methods()[name].label if name in methods() else name
