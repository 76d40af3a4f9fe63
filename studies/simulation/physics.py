"""Tissues and scanners: `physics.yaml` and what a user adds to it, checked. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from core.errors import InputError, nearest

PHYSICS = Path(__file__).with_name("physics.yaml")

CALIBRATED = "calibrated"
"""The variant that `physics.yaml` describes without an overlay."""


@dataclass(frozen=True)
class Tissue:
    """Relaxation times (ms, 3 T) and proton density (of water's) of one tissue."""

    t1_ms: float
    t2_ms: float
    t2star_ms: float
    proton_density: float


@dataclass(frozen=True)
class Scanner:
    """One scanner: its sequence and its imperfections. `physics.yaml` describes each field."""

    name: str
    inversion_time_ms: float
    cycle_ms: float
    first_echo_ms: float
    echo_step_ms: float
    echoes: int
    flip_degrees: float
    readouts: int
    readout_spacing_ms: float
    readouts_before_center: int
    inversion_efficiency: float
    resolution_mm: tuple[float, float, float]
    noise: float
    bias: float
    transmit: float
    misregistration_mm: float
    tone: float = 1.0
    distortion_mm: float = 0.0
    t2w_cycle_ms: float = 5000.0
    t2w_echo_ms: float = 90.0

    @property
    def echo_times_ms(self) -> tuple[float, ...]:
        """Echo times, ms."""
        return tuple(self.first_echo_ms + k * self.echo_step_ms for k in range(self.echoes))

    def with_sequence_of(self, other: Scanner) -> Scanner:
        """This scanner running the other's sequence: the other's contrast and resolution, its own noise and fields."""
        return dataclasses.replace(self, **{name: getattr(other, name) for name in SEQUENCE})


SEQUENCE = (
    "inversion_time_ms",
    "cycle_ms",
    "first_echo_ms",
    "echo_step_ms",
    "echoes",
    "flip_degrees",
    "readouts",
    "readout_spacing_ms",
    "readouts_before_center",
    "inversion_efficiency",
    "resolution_mm",
    "tone",
    "t2w_cycle_ms",
    "t2w_echo_ms",
)
"""The fields that belong to the protocol: contrast and resolution."""
T2W = ("t2w_cycle_ms", "t2w_echo_ms")
"""Those of the T2-weighted image alone."""

_POSITIVE = {
    "inversion_time_ms",
    "cycle_ms",
    "first_echo_ms",
    "echoes",
    "flip_degrees",
    "readouts",
    "readout_spacing_ms",
    "resolution_mm",
    "tone",
    *T2W,
}
_WHOLE = {"echoes", "readouts", "readouts_before_center"}


@cache
def physics() -> dict[str, Any]:
    """The content of `physics.yaml`."""
    return yaml.safe_load(PHYSICS.read_text(encoding="utf-8"))


def tissues() -> dict[str, Tissue]:
    """The tissues of `physics.yaml`, by name."""
    return {
        name: Tissue(**{key: float(value) for key, value in values.items() if key != "sources"})
        for name, values in physics()["tissues"].items()
    }


def variants() -> list[str]:
    """Names of the variants of the scanners: the calibrated one, and the overlays of `physics.yaml`."""
    return [CALIBRATED, *physics()["variants"]]


def check_variant(variant: str) -> None:
    """Refuse (`InputError`) a variant that there isn't."""
    if variant not in variants():
        raise InputError(f"variant: there is no '{variant}'{nearest(variant, variants())}")


def shipped_scanners(variant: str = CALIBRATED) -> dict[str, Scanner]:
    """The scanners of `physics.yaml` under a variant, by name."""
    overlay = _overlay(variant).get("scanners", {})
    entries = {name: values for name, values in physics()["scanners"].items() if name != "sources"}
    return {name: _scanner(name, values | overlay.get(name, {})) for name, values in entries.items()}


def factors(variant: str, voxel_size_mm: int) -> dict[str, float]:
    """Factors on `noise` and `misregistration_mm`, both given at 1 mm, for voxels of this edge.

    A voxel of 2 mm is the average of eight of 1 mm. White noise of SD s in each has SD s/sqrt(8) in
    their average; a displacement in mm is the same on any grid. A variant may say otherwise.
    """
    said = _overlay(variant).get("factors")
    return dict(said[voxel_size_mm]) if said else {"noise": voxel_size_mm**-1.5, "misregistration": 1.0}


def _overlay(variant: str) -> dict[str, Any]:
    check_variant(variant)
    return {} if variant == CALIBRATED else physics()["variants"][variant]


def failed(scanner: Scanner) -> Scanner:
    """The scanner as it is in the one scan that failed (the option `failed_scan`)."""
    changes = {key: value for key, value in physics()["failed_scan"].items() if key != "sources"}
    return dataclasses.replace(scanner, **changes)


def make_scanners(entries: Sequence[str | Mapping[str, Any]], variant: str = CALIBRATED) -> list[Scanner]:
    """Scanners from names out of `physics.yaml` under a variant, or from mappings of the user's own.

    A mapping has a `name`. With `like: <shipped name>` it starts from that scanner, with
    `sequence_of: <shipped name>` it takes that one's protocol (`SEQUENCE`); any field of `Scanner` that it sets
    wins. Without `like` it sets every field.

    Raises
    ------
    InputError
        An unknown variant, scanner or field, a missing field, a value that is no number or of the wrong
        sign, two scanners of one name.
    """
    shipped = shipped_scanners(variant)
    made = []
    for entry in entries:
        if isinstance(entry, str):
            made.append(_known(entry, shipped, "scanners"))
        elif isinstance(entry, Mapping):
            made.append(_from_mapping(entry, shipped))
        else:
            raise InputError(f"scanners: {entry!r} is neither a name nor a mapping of parameters")
    names = [scanner.name for scanner in made]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"scanners: '{name}' stands there {names.count(name)} times; give each its own name")
    return made


def _known(name: str, shipped: dict[str, Scanner], where: str) -> Scanner:
    if name not in shipped:
        raise InputError(f"{where}: there is no scanner '{name}'{nearest(name, shipped)}")
    return shipped[name]


def _from_mapping(entry: Mapping[str, Any], shipped: dict[str, Scanner]) -> Scanner:
    from core.ids import check_id

    values = dict(entry)
    name = check_id(str(values.pop("name", "")), "scanners: the name of a scanner of your own")
    base: dict[str, Any] = {}
    if "like" in values:
        base = dataclasses.asdict(_known(str(values.pop("like")), shipped, f"scanner {name}, like"))
    if "sequence_of" in values:
        other = _known(str(values.pop("sequence_of")), shipped, f"scanner {name}, sequence_of")
        base |= {key: getattr(other, key) for key in SEQUENCE}
    base.pop("name", None)
    return _scanner(name, base | values)


def _scanner(name: str, values: Mapping[str, Any]) -> Scanner:
    known = {field.name: field for field in dataclasses.fields(Scanner) if field.name != "name"}
    for key in values:
        if key not in known:
            raise InputError(f"scanner {name}: unknown parameter '{key}'{nearest(key, known)}")
    for key, field in known.items():
        if key not in values and field.default is dataclasses.MISSING:
            raise InputError(f"scanner {name}: no {key}; set it, or start from a scanner by `like: Prisma`")
    return Scanner(name=name, **{key: _number(name, key, value) for key, value in values.items()})


def _number(name: str, key: str, value: Any) -> Any:
    if key == "resolution_mm":
        if not isinstance(value, Sequence) or len(value) != 3:
            raise InputError(f"scanner {name}: resolution_mm is {value!r}; give three widths in mm, [x, y, z]")
        return tuple(_single(name, key, part) for part in value)
    return _single(name, key, value)


def _single(name: str, key: str, value: Any) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value < float("inf"):
        raise InputError(f"scanner {name}: {key} is {value!r}; give a number")
    if value < 0 or (key in _POSITIVE and value == 0):
        sign = "above 0" if key in _POSITIVE else "0 or more"
        raise InputError(f"scanner {name}: {key} is {value:g}; it must be {sign}")
    if key == "inversion_efficiency" and value > 1:
        raise InputError(f"scanner {name}: inversion_efficiency is {value:g}; it is at most 1")
    if key in _WHOLE:
        if value != int(value):
            raise InputError(f"scanner {name}: {key} is {value:g}; give a whole number")
        return int(value)
    return float(value)
