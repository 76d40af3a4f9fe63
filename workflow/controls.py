"""The controls that a run adds to its arms, so that what an arm gains can be told from what anything would gain.

Of an arm `mine`: `mine_permuted`, its method fitted on permuted scanner labels; `mine_blur`, RAW blurred until it
is as smooth as the arm's images; `mine_seed1`, `mine_seed2`, ..., its fit under further seeds, where the fit is
random. Every Snakemake job imports this module, so it imports nothing heavy.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import InputError
from core.names import RAW, Gives, Role


@dataclass(frozen=True)
class PlannedArm:
    """An arm of a run: its method, the parameters that it sets, its seed, and what it is there for.

    role : see `core.names.Role`. of : the arm that it is a control or a further fit of.
    after : the arm whose images its fit looks at, or whose volumes an arm of volumes harmonizes.
    gives : images or volumes.
    """

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    role: Role = "arm"
    of: str = ""
    after: str = ""
    gives: Gives = "images"


@dataclass(frozen=True)
class Traits:
    """What decides which controls an arm gets, see `baselines.interface.Harmonizer`."""

    control: bool
    uses_other_scans: bool
    maps_intensities: bool
    learns_scanners: bool
    random_fit: bool
    gives: Gives = "images"
    of_volumes: str = ""
    """Of a method of volumes the arm whose volumes it harmonizes."""


def with_controls(
    arms: Mapping[str, PlannedArm],
    traits_of: Callable[[PlannedArm], Traits],
    images_of: Callable[[str], str],
    *,
    permuted: bool,
    matched_blur: bool,
    seeds: int,
) -> dict[str, PlannedArm]:
    """The arms, each followed by its controls and further seeds.

    An arm that uses a person's other scans gets none, since it isn't compared. Raises `InputError` for an arm
    that has the name of a control.
    """
    found: dict[str, PlannedArm] = {}

    def add(name: str, arm: PlannedArm) -> None:
        if name in found or (arm.of and name in arms):
            raise InputError(f"methods: '{name}' is what the control of '{arm.of}' is called; give your arm another id")
        found[name] = arm

    def add_seeds(name: str, arm: PlannedArm) -> None:
        for number in range(1, seeds):
            add(f"{name}_seed{number}", replace(arm, seed=arm.seed + number, role="seed", of=name))

    for name, given in arms.items():
        traits = traits_of(given)
        arm = replace(given, after=traits.of_volumes, gives=traits.gives)
        if traits.control:
            add(name, replace(arm, role="control"))
            continue
        add(name, arm)
        if name == RAW or traits.uses_other_scans:
            continue
        if traits.random_fit:
            add_seeds(name, arm)
        if permuted and traits.learns_scanners:
            settings = shlex.join(f"{key}={value}" for key, value in arm.parameters.items())
            shuffle = {"images": "shuffle", "volumes": "shuffle_volumes"}[arm.gives]
            base = {"base": arm.method, "settings": settings}
            shuffled = replace(arm, method=shuffle, parameters=base, role="permuted", of=name)
            add(f"{name}_permuted", shuffled)
            add_seeds(f"{name}_permuted", shuffled)
        if matched_blur and not traits.maps_intensities:
            add(f"{name}_blur", PlannedArm("matched_blur", {"images": images_of(name)}, arm.seed, "blur", name, name))
    return found
