"""Where a study's scans come from: one module a source, found by its name.

A source has four functions:

    plan(options) -> list[PlannedScan]      which scans there will be; quick, called while planning
    covariates(options) -> list[str]        which further columns the sheet will have; quick too
    check(options)                          refuse what can't be used, before any long work
    prepare(options, subject, folder) -> Path    make or import one subject's scans

and, where it reads files of the user's, a fifth:

    inputs(options) -> list[Path]           those files, whose checksums go into `provenance.json`

One that knows its scans' shape has `grid(options)`, voxels along each axis (None where it can't be told), and,
where it keeps more than the images, `bytes_beside(options)`, a voxel and scan: a run then says in advance
how much it will write.

`options` is the source's block of the configuration with `seed` and `scale` added. `prepare` writes
`sub-<subject>_scanner-<scanner>_T1w.nii.gz`, masks, any truth, and last the part sheet
`sub-<subject>.tsv`, whose path it returns; `studies.part_sheets.gather` joins part sheets. All raise
`core.errors.InputError` on what can't be used. A new source is a new file here; copy `sheet.py`.

One whose plan takes long to find has `settle(options) -> options`, which adds what was found: it is called once,
with `check`, and its answer is what `prepare` gets.

A source whose scans take long names `STEPS` and has `step(name, options, subject, scanner, folder)`: a
study run does each step of each scan as a job of its own before `prepare`; see `bids.py`.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.errors import InputError, nearest
from core.files import checksum
from core.jobs.disk_space import bytes_to_write


@dataclass(frozen=True)
class PlannedScan:
    """A scan that `prepare` will write."""

    subject: str
    scanner: str


class Source(Protocol):
    """What a module of this package offers."""

    def plan(self, options: Mapping[str, Any]) -> list[PlannedScan]: ...

    def covariates(self, options: Mapping[str, Any]) -> list[str]: ...

    def check(self, options: Mapping[str, Any]) -> None: ...

    def prepare(self, options: Mapping[str, Any], subject: str, folder: Path) -> Path: ...


def settle(name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """A source's options, checked, with what `prepare` would else have to find again for each subject.

    Raises `InputError` for what can't be used.
    """
    module = source(name)
    module.check(options)
    return module.settle(options) if hasattr(module, "settle") else options


def checksums(name: str, options: Mapping[str, Any]) -> dict[str, str]:
    """The checksum of each file of the user's that the source `name` reads, by its path."""
    inputs = getattr(source(name), "inputs", None)
    return {str(path): checksum(path) for path in inputs(options)} if inputs else {}


def steps(name: str) -> tuple[str, ...]:
    """The steps that each scan of a source takes before `prepare`; none for most."""
    return getattr(source(name), "STEPS", ())


def sources() -> list[str]:
    """The names of all sources."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def source(name: str) -> Source:
    """The source of that name; raises `InputError` with the nearest one when there is none."""
    if name not in sources():
        raise InputError(f"study.source: there is no source '{name}'{nearest(name, sources())}")
    return importlib.import_module(f"{__name__}.{name}")


def planned_bytes(name: str, options: Mapping[str, Any], arms: int) -> int | None:
    """`bytes_to_write` of a study from the source `name`; None where the source can't tell its grid in advance."""
    module = source(name)
    grid = getattr(module, "grid", None)
    if grid is None:
        return None
    shape = grid(options)
    if shape is None:
        return None
    beside = getattr(module, "bytes_beside", None)
    return bytes_to_write(
        scans=len(module.plan(options)),
        voxels=math.prod(shape),
        arms=arms,
        beside=beside(options) if beside else 0.0,
    )
