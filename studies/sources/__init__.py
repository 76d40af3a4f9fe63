"""Where a study's scans come from: one module a source, found by its name.

A source has a frozen dataclass of its options and four functions:

    Options                                 its block of the configuration, with defaults (`core.options`)
    plan(options) -> list[PlannedScan]      which scans there will be; quick, called while planning
    covariates(options) -> list[str]        which further columns the sheet will have; quick too
    check(options)                          refuse what can't be used, before any long work
    prepare(options, subject, folder) -> Path    make or import one subject's scans

`prepare` writes `sub-<subject>_scanner-<scanner>_T1w.nii.gz` (rescans and follow-ups: see `core.run_folder.scan_name`),
masks, any truth, and last the part sheet `sub-<subject>.tsv`, whose path it returns;
`studies.part_sheets.gather` joins part sheets. All raise
`core.errors.InputError` on what can't be used. A new source is a new file here; copy `sheet.py`.

`Options` gets those of `RUN_WIDE` that it has a field for from the top of the configuration.

A source may have more:

    SELECTING                               the options that only say which scans there are, by name
    inputs(options) -> list[Path]           the files of the user's that it reads, where they are more than its
                                            planned scans'
    grid(options) -> tuple[int, ...] | None      voxels along each axis, None where it can't be told; with it a
                                            run says in advance how much it will write
    bytes_beside(options) -> float          what it keeps beside the images, a voxel and scan
    space(options) -> str                   what BIDS calls the space of the common grid, as `ATLAS_SPACE`; without it
                                            scans stay where they were
    card(options) -> dict[str, str]         name, license and reference of the scans, as far as the source knows them
    libraries(options) -> tuple[str, ...]   modules that it imports and the plain install lacks (`core.libraries`):
                                            without them its scans are neither planned nor checked
    settle(options) -> Options              the options with what takes long to find, in fields of `SETTLED`:
                                            called once, with `check`, and its answer is what `prepare` gets
    STEPS, step(name, options, scan, folder)    steps of a planned scan, each a job of its own before `prepare`
    quality(folder, scans, out, flagged)    with `STEPS`: a table of how well they went, made before `prepare`, whose
                                            column `status` says what becomes of each (`core.scan_quality`); `bids.py`
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from core.covariates import Cell
from core.errors import InputError, nearest
from core.jobs.disk_space import bytes_to_write
from core.libraries import check_libraries
from core.options import make, names
from core.run_folder import scan_name
from core.scan_quality import Flagged

RUN_WIDE = ("seed", "scale", "anatomy")
"""What a configuration says once for the whole run; a source's own block may say otherwise."""

ATLAS_SPACE = "MNI152NLin2009aSym"
"""What BIDS calls the space of the ICBM152 2009a atlas."""

SETTLED = {"settled": True}
"""The metadata of a field that `settle` fills and no configuration names."""


@dataclass(frozen=True)
class PlannedScan:
    """A scan that `prepare` will write; `session` is given for a rescan or follow-up alone.

    files : of the user's, what it is made from; they must be there.
    covariates : what the user's tables say of it; its jobs are done again when that changes, and a run refuses what
        it can't use of them while planning. A source that knows no such tables leaves them out.
    row : what errors call the place where the tables say so.
    """

    subject: str
    scanner: str
    session: str = ""
    files: tuple[str, ...] = field(default=(), compare=False)
    covariates: Mapping[str, str] = field(default_factory=dict, compare=False)
    row: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The stem of every file made from it, see `core.run_folder.scan_name`."""
        return scan_name(self.subject, self.scanner, self.session)

    @property
    def words(self) -> str:
        """Which scan it is, for people."""
        again = f", session {self.session}" if self.session else ""
        return f"subject {self.subject} on scanner {self.scanner}{again}"

    def cell(self, column: str) -> Cell:
        """What the user's tables say of it in a column, for `core.covariates`."""
        where = f"{self.row} ({self.words})" if self.row else self.words
        return Cell(where, self.subject, self.covariates.get(column, ""))


@dataclass(frozen=True)
class Step:
    """A step that each scan takes before `prepare`.

    makes : the files that it makes below the study's folder, as patterns with {scan}.
    threads : the option that says how many CPU threads it uses; None: one.
    mem_mb, minutes : what its job asks of a cluster.
    """

    name: str
    makes: tuple[str, ...] = ()
    threads: str | None = None
    mem_mb: int = 4000
    minutes: int = 60


@dataclass(frozen=True)
class Source:
    """A source's module, its options given as mappings: a block of the configuration, or what `settle` wrote."""

    name: str
    module: ModuleType

    def options(self, given: Mapping[str, Any]) -> Any:
        """The module's `Options`; raises `InputError` naming key, value and remedy."""
        known = names(self.module.Options)
        own = {key: value for key, value in given.items() if key in known or key not in RUN_WIDE}
        return make(self.module.Options, own, f"study.{self.name}")

    def of_configuration(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The source's block of a run's configuration, with what that says for the whole run."""
        known = names(self.module.Options)
        wide = {key: configuration[key] for key in RUN_WIDE if key in known}
        return wide | dict(configuration["study"].get(self.name) or {})

    @property
    def keys(self) -> list[str]:
        """What the source's block of the configuration may hold."""
        return [field.name for field in dataclasses.fields(self.module.Options) if field.metadata != SETTLED]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that each scan takes before `prepare`; none for most sources."""
        return getattr(self.module, "STEPS", ())

    def plan(self, given: Mapping[str, Any]) -> list[PlannedScan]:
        """Which scans there will be; refuses to plan any without the source's libraries."""
        options = self.options(given)
        self._check_libraries(options)
        return self.module.plan(options)

    def covariates(self, given: Mapping[str, Any]) -> list[str]:
        """Which further columns the sheet will have."""
        return self.module.covariates(self.options(given))

    def check(self, given: Mapping[str, Any]) -> None:
        """Refuse what can't be used."""
        options = self.options(given)
        self._check_libraries(options)
        self.module.check(options)

    def settle(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options, checked, with what `prepare` would else have to find again for each subject."""
        self.check(given)
        options = self.options(given)
        if hasattr(self.module, "settle"):
            options = self.module.settle(options)
        return dataclasses.asdict(options)

    def card(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Name, license and reference of the scans, as far as the source knows them."""
        return self.module.card(self.options(given)) if hasattr(self.module, "card") else {}

    def _check_libraries(self, options: Any) -> None:
        """Refuse to go on without a library that the source wants."""
        if hasattr(self.module, "libraries"):
            check_libraries(self.module.libraries(options), f"study.source: {self.name}")

    def making(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options that say how a scan is made, and not which there are."""
        options = dataclasses.asdict(self.options(given))
        selecting = getattr(self.module, "SELECTING", ())
        return {name: value for name, value in options.items() if name not in selecting}

    def inputs(self, given: Mapping[str, Any], subjects: Collection[str] | None = None) -> list[Path]:
        """The files of the user's that the source reads, or those of some people's scans, each once."""
        if subjects is None and hasattr(self.module, "inputs"):
            return list(dict.fromkeys(self.module.inputs(self.options(given))))
        chosen = (scan for scan in self.plan(given) if subjects is None or scan.subject in subjects)
        return list(dict.fromkeys(Path(file) for scan in chosen for file in scan.files))

    def space(self, given: Mapping[str, Any]) -> str:
        """What BIDS calls the space of the common grid; "" where scans stayed where they were."""
        return self.module.space(self.options(given)) if hasattr(self.module, "space") else ""

    def prepare(self, given: Mapping[str, Any], subject: str, folder: Path) -> Path:
        """Make or import one subject's scans; the part sheet."""
        return self.module.prepare(self.options(given), subject, folder)

    def step(self, name: str, given: Mapping[str, Any], scan: PlannedScan, folder: Path) -> None:
        """Do one of `steps` for one scan."""
        known = [step.name for step in self.steps]
        if name not in known:
            raise InputError(f"source '{self.name}' has no step '{name}'{nearest(name, known)}")
        self.module.step(name, self.options(given), scan, folder)

    @property
    def has_quality(self) -> bool:
        """Whether the source tells how well its steps went."""
        return hasattr(self.module, "quality")

    def quality(self, folder: Path, scans: Sequence[PlannedScan], out: Path, flagged: Flagged) -> None:
        """Write the table of how well the steps of the planned scans went; raises `InputError` without such."""
        if not self.has_quality:
            raise InputError(f"source '{self.name}' keeps no quality of its scans")
        self.module.quality(folder, scans, out, flagged)

    def planned_bytes(self, given: Mapping[str, Any], arms: int) -> int | None:
        """`bytes_to_write` of a study with so many arms; None where the source can't tell its grid in advance."""
        options = self.options(given)
        shape = self.module.grid(options) if hasattr(self.module, "grid") else None
        if shape is None:
            return None
        return bytes_to_write(
            scans=len(self.module.plan(options)),
            voxels=math.prod(shape),
            arms=arms,
            beside=self.module.bytes_beside(options) if hasattr(self.module, "bytes_beside") else 0.0,
        )


def sources() -> list[str]:
    """The names of all sources."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def source(name: str) -> Source:
    """The source of that name; raises `InputError` with the nearest one when there is none."""
    if name not in sources():
        raise InputError(f"study.source: there is no source '{name}'{nearest(name, sources())}")
    return Source(name, importlib.import_module(f"{__name__}.{name}"))
