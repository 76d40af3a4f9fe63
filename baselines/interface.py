"""What a harmonization method is to the benchmark.

A method is one class in one file of this folder (or a package, like `mispel`, or an entry point of
another distribution in the group `mispel_benchmark.methods`). `python -m baselines new NAME` writes
a commented template.

A `Method` gives images, a `VolumeMethod` volumes; what both say of themselves is a `Harmonizer`'s.
"""

from __future__ import annotations

import abc
import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from core.errors import InputError, nearest
from core.names import MISSING, RAW, Contrast, Gives
from core.random_numbers import generator
from core.study import Scan, Study


@dataclass(frozen=True)
class Context:
    """What a method is given to work with, besides scans and parameters.

    seed: for every random number; the same seed gives the same bytes on one kind of processor.
    threads: how many CPU threads it may use.
    device: "cpu", "cuda", or "auto" for a GPU where there is one.
    checkpoint: a folder that outlives a killed fit, for methods that can go on where they stopped.
    labels: a folder of the scans' tissue labels (`core.run_folder.hard_labels_name`), for a fit that would segment
        them: made by the engine that the method names (`Method.labels_by`) of the scans as they are shown to it.
    """

    seed: int = 0
    threads: int = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint: Path | None = None
    labels: Path | None = None

    def generator(self, *names: str) -> np.random.Generator:
        """A generator that depends on the seed and on `names` alone, so that no order of work changes it."""
        return generator(self.seed, *names, separator="/")


class Named(Protocol):
    """Whose scan it is, and on which scanner."""

    @property
    def subject(self) -> str:
        """The person."""

    @property
    def scanner(self) -> str:
        """The scanner."""


@dataclass(frozen=True)
class Plan:
    """What is known of a study while it is planned: `scanners` in order, and `covariates`, where they are asked for.

    `scanners` are those that the fit will see, `scans` all that there will be, without rescans.
    """

    scanners: Sequence[str]
    find_covariates: Callable[[], Sequence[str]] = tuple
    scans: Sequence[Named] = ()

    def check_scanner(self, name: str | None, where: str) -> None:
        """Refuse a scanner that isn't in the study; `where` names the parameter, such as `mica.target`."""
        if name is not None and name not in self.scanners:
            raise InputError(f"{where}: there is no scanner '{name[:80]}'{nearest(name[:80], self.scanners)}")

    def check_covariates(self, names: str, where: str) -> None:
        """Refuse a covariate, of several separated by commas, that no scan has."""
        wanted = list(filter(None, names.split(",")))
        known = self.find_covariates() if wanted else ()
        for name in wanted:
            if name not in known:
                raise InputError(f"{where}: no scan has a covariate '{name[:80]}'{nearest(name[:80], known)}")


@dataclass(frozen=True)
class NoParameters:
    """Of a method that has none."""


class Harmonizer(abc.ABC):
    """What a harmonization method says of itself, whatever it gives: fitted on a study, then applied scan by scan."""

    gives: ClassVar[Gives]
    """What comes out, which `Method` and `VolumeMethod` say."""

    id: ClassVar[str]
    """Lower case; names folders and rows."""
    label: ClassVar[str]
    """What tables and figures call it."""
    citation: ClassVar[str]
    limits: ClassVar[str]
    """What it cannot do, in a sentence."""
    license: ClassVar[str] = "not known"
    """Of the original's published code, none of which is here; "none published" where there is code without one."""
    year: ClassVar[int | None] = None
    """When the method was published; None: the first year that its citation names."""
    trained_on: ClassVar[str] = ""
    """What its fit learned from, in words; empty: the study's scans, or nothing where it fits on a scan."""
    cost: ClassVar[str] = ""
    """What fitting it takes, in a sentence, where that is more than seconds."""
    fits_on: ClassVar[Literal["study", "scan"]] = "study"
    """"scan": nothing is learned; every scan is harmonized from itself alone."""
    needs: frozenset[str] = frozenset()
    """Of "paired" (subjects seen by several scanners) and "gpu" (much slower without)."""
    contrasts: ClassVar[tuple[Contrast, ...]] = ("T1w",)
    """Of the images that its fit learns from: with "T2w" it isn't applicable where too few scans have one."""
    unseen_subjects: ClassVar[bool] = True
    """Whether it applies to people it was not fitted on."""
    unseen_scanners: ClassVar[bool] = False
    """Whether it applies to scanners it was not fitted on."""
    control: ClassVar[bool] = False
    """Whether it is there to pin the measures, not to harmonize: it gets no rank."""
    uses_other_scans: bool = False
    """Whether it looks at a person's other scans to harmonize one. Only then is it shown them; it gets no rank."""
    fits_follow_ups: bool = False
    """Whether its fit is given follow-ups, too, since its model knows of time (`Study.follow_ups`)."""
    learns_scanners: bool = True
    """Whether its fit on a study uses which scanner a scan is from: permuted labels then are its control."""
    maps_intensities: ClassVar[bool] = False
    """Whether a voxel's new intensity depends on its old one alone, so that it can't smooth: no blur is its control."""
    random_fit: ClassVar[bool] = False
    """Whether its fit depends on the seed: a run then fits it under several."""
    trained_together: bool = False
    """Whether several processes can fit it together: `fit` is then called in each (`core.jobs.ranks` says which it
    is), on the same study, and the first one's model is saved."""
    libraries: tuple[str, ...] = ()
    """Modules that it imports and the plain install lacks (`core.libraries`): without them it is refused."""

    Parameters: ClassVar[type[Any]] = NoParameters
    """A frozen dataclass, nested in the method, of parameters with defaults; `--param name=value` sets one."""
    parameters: Any
    """Those in use. A method with parameters says under their class `parameters: Parameters`, for type checkers."""

    def __init__(self, parameters: Any = None, context: Context | None = None) -> None:
        self.parameters = self.Parameters() if parameters is None else parameters
        self.context = Context() if context is None else context
        self.used_device = "cpu"
        self.passes: float | None = None
        """How often a fit by small steps saw each slice or scan: what budgets are compared by. None: no such fit."""

    @property
    def commands(self) -> tuple[str, ...]:
        """The command lines that applying it runs. A model folder brings none: whoever applies it gives them again."""
        return ()

    @classmethod
    def card(cls) -> dict[str, str]:
        """In words, for the list of methods, `arms.tsv` and the report: what one asks of a method before using it."""
        named = re.search(r"\b(?:19|20)\d\d\b", cls.citation)
        return {
            "license": "this project's own (MIT)" if cls.control else cls.license,
            "year": str(cls.year or (named[0] if named else MISSING)),
            "trained_on": cls.trained_on or ("nothing" if cls.fits_on == "scan" else "the study's scans"),
            "needs": ", ".join(sorted(cls.needs)) or "nothing special",
            "unseen_subjects": "yes" if cls.unseen_subjects else "no",
            "unseen_scanners": "yes" if cls.unseen_scanners else "no",
        }

    @property
    def variant(self) -> str:
        """What sets the arm apart from the published method, in a word or two after its label; mostly nothing."""
        return ""

    @property
    def least_scans(self) -> int:
        """How many scans of every scanner its fit takes at least: a learning curve begins there."""
        return 1

    def check_plan(self, plan: Plan) -> None:
        """Refuse (`InputError`) parameters that can't be used in such a study, before any image is read."""

    def not_applicable(self, study: Study) -> str | None:
        """Why this method cannot be used on `study`, or None if it can."""
        return None

    def reads(self, study: Study) -> list[Path]:
        """Files of the user's that it reads beside the study's scans: a run fits it again where one changes.

        By default its parameters that are paths of files.
        """
        given = (getattr(self.parameters, field.name) for field in dataclasses.fields(self.parameters))
        return [path for path in given if isinstance(path, Path) and path.is_file()]

    def takes(self, scan: Scan) -> bool:
        """Whether it can be asked for this scan; a rescan or follow-up may be beyond a method that only has files."""
        return True

    def save(self, folder: Path) -> None:
        """Write into the existing `folder` all that `transform` needs beyond the parameters; no pickle."""

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Raises `InputError` for what does not match."""

    def describe_parameters(self) -> dict[str, Any]:
        """The parameters in use, as plain values."""
        return dataclasses.asdict(self.parameters)


class Method(Harmonizer):
    """A method that gives images."""

    gives = "images"
    by_voxel: bool = False
    """Whether what a fit learned is of places on the grid: then it's applied to scans on that same grid alone."""

    @property
    def labels_by(self) -> str | None:
        """The engine of the tissue labels that its fit looks at, of scans of mean 1 over the brain x 1000; mostly none.

        A run then gives it RAW's (`Context.labels`), where these are the same; else it segments the scans itself.
        """
        return None

    def fit(self, study: Study) -> None:
        """Learn from `study`. Raises `InputError` for scans it cannot learn from."""

    def prepare(self, study: Study) -> None:
        """Called before `transform`, with the scans that will be asked for next.

        Those are different people's, from one scanner; with `uses_other_scans`, all scans of one visit, for
        what a single scan doesn't tell, such as the same person's scan from a target scanner. Nothing is
        learned here. Raises `NotApplicable` or `InputError` for scans it cannot harmonize.
        """

    @abc.abstractmethod
    def transform(self, scan: Scan) -> np.ndarray:
        """The harmonized image (X, Y, Z), float32, 0 outside the mask, on the scan's grid."""


@dataclass(frozen=True)
class OfVolumes:
    """The parameters that every method of volumes has; its own are a dataclass that inherits from this one.

    of: the arm whose volumes are harmonized. parts: a tissue's whole volume, or its volume in each region of the
    brain, of which the harmonized ones are summed.
    """

    of: str = RAW
    parts: Literal["tissues", "regions"] = "tissues"


class VolumeMethod(Harmonizer):
    """A method that gives volumes of tissues: its own of those that an arm's images have.

    It is fitted and applied for each rule of what counts as a tissue by itself.
    """

    gives = "volumes"
    # there is no image that could be smoother
    maps_intensities = True
    Parameters: ClassVar[type[Any]] = OfVolumes

    @property
    def of(self) -> str:
        """The arm whose volumes it harmonizes."""
        return str(self.parameters.of)

    @property
    def parts(self) -> str:
        """Of what it harmonizes the volumes: "tissues" or "regions"."""
        return str(self.parameters.parts)

    @property
    def variant(self) -> str:
        """Whose volumes, where not RAW's, and whether by region."""
        told = ["by region"] * (self.parts == "regions") + [f"of {self.of}"] * (self.of != RAW)
        return f"({', '.join(told)})" if told else ""

    @abc.abstractmethod
    def fit(self, study: Study, volumes: np.ndarray) -> None:
        """Learn from the volumes (n, v), mL, float64, of the study's n scans in their order.

        With `fits_follow_ups` those of its follow-ups come after them; of others the study has none.

        Raises `InputError` for scans it cannot learn from.
        """

    def prepare(self, study: Study, volumes: np.ndarray) -> None:
        """Called before `transform` with the scans that will be asked for next and their volumes (n, v).

        Those are different people's, from one scanner; with `uses_other_scans`, all scans of one visit.
        """

    @abc.abstractmethod
    def transform(self, scan: Scan, volumes: np.ndarray) -> np.ndarray:
        """The harmonized volumes (v,), mL, of a scan's volumes (v,)."""
