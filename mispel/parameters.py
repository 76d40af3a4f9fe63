"""Every number of MISPEL, in one place: the presets and the parameters that override them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from core.errors import nearest

Outside = Literal["nearest", "zero"]
"""What encoders see outside the brain. nearest: the value of the nearest voxel inside; zero: 0, as published."""

_SMALLEST = {
    "embeddings": 1,
    "width": 1,
    "batch_size": 1,
    "step1_epochs": 1,
    "step2_epochs": 1,
    "plateau_epochs": 0,
    "lambda1": 0.0,
    "lambda2": 0.0,
    "lambda3": 0.0,
    "lambda4": 0.0,
    "learning_rate": 0.0,
    "cache_limit_gb": 0.0,
    "reconstruction_tolerance": 0.0,
    "harmonization_tolerance": 0.0,
}
"""The least that each number may be."""

_GREATEST = {
    "embeddings": 1024,
    "width": 1024,
    "batch_size": 100_000,
    "step1_epochs": 1_000_000,
    "step2_epochs": 1_000_000,
    "slices_per_epoch": 1_000_000_000,
    "plateau_epochs": 1_000_000,
    "learning_rate": 10.0,
}
"""The most that some may be: beyond it no training fits a memory, or ends."""


@dataclass(frozen=True)
class Settings:
    """What MISPEL is trained by, all of it set; the defaults are the paper's text (section 4.2).

    embeddings: L, how many maps an encoder makes.
    width: channels of the encoder's first level; the next ones have twice and four times as many.
    decoder: linear (the paper's) or relu (the published code's).
    lambda1, lambda2: weights of reconstruction and coupling in Step 1 (Eq. 4).
    lambda3, lambda4: weights of reconstruction and harmonization in Step 2 (Eq. 6).
    learning_rate: Adam's, in both steps.
    batch_size: slices a step, each from all scanners.
    step1_epochs, step2_epochs: T1 and T2, passes over all slices, at most so many.
    outside: what the encoders see outside the brain: zero (as published; a short training darkens the brain's
    edge then) or nearest (the nearest brain voxel).
    loss_region: the losses' pixels: box (all of the common box) or brain (where any scanner has brain).
    step2_solver: adam (the paper's) or exact (the certified optimum of Eq. 6; with relu a descent to a local one).
    precision: of the encoders in Step 1 and where scans are harmonized: float32, bfloat16, or auto, bfloat16 where the
    processor computes in it (Step 2 encodes in float32 always).
    cache_limit_gb: embeddings are kept as float32 up to this size on disk, beyond it as float16.
    reconstruction_tolerance: stop Step 1 when the mean absolute error a scanner falls below; 0 never.
    harmonization_tolerance: stop Step 2 when Eq. 5 falls below; 0 never.
    plateau_epochs: stop a step when its loss has not fallen by 0.1 % for so many epochs; 0 never.
    """

    embeddings: int = 6
    width: int = 32
    decoder: Literal["linear", "relu"] = "linear"
    lambda1: float = 1.0
    lambda2: float = 0.3
    lambda3: float = 1.0
    lambda4: float = 4.0
    learning_rate: float = 1e-3
    batch_size: int = 4
    step1_epochs: int = 100
    step2_epochs: int = 100
    outside: Outside = "zero"
    loss_region: Literal["box", "brain"] = "box"
    step2_solver: Literal["adam", "exact"] = "adam"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    cache_limit_gb: float = 4.0
    reconstruction_tolerance: float = 0.0
    harmonization_tolerance: float = 0.0
    plateau_epochs: int = 0

    def __post_init__(self) -> None:
        for name, smallest in _SMALLEST.items():
            value = getattr(self, name)
            if not math.isfinite(value) or value < smallest:
                raise ValueError(f"{name} is {value:g}; it is at least {smallest:g}")
            if value > _GREATEST.get(name, 1e6):
                raise ValueError(f"{name} is {value:g}; it is at most {_GREATEST.get(name, 1e6):g}")
        for name in ("lambda1", "lambda3", "learning_rate"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} is 0; it must be above 0")


SMALL: Mapping[str, Any] = {
    # the weights that a short training does better with: see erratum
    "lambda1": 0.3,
    "lambda2": 1.0,
    "outside": "nearest",
    "loss_region": "brain",
    "step2_solver": "exact",
}
"""What a narrow network takes that is trained for less than thousands of steps, for a CPU at 2 mm."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": asdict(Settings()),
    # the weights of Eq. 4 that the authors' README means (it prints them swapped)
    "erratum": asdict(Settings(lambda1=0.3, lambda2=1.0)),
    # at 0.001 it diverged in pass 33, and in pass 42 (docs/originals.md)
    "laptop": asdict(Settings(width=16, step1_epochs=50, learning_rate=0.0003, **SMALL)),
    "demo": asdict(Settings(width=8, step1_epochs=2, **SMALL)),
}


@dataclass(frozen=True)
class Parameters:
    """MISPEL's parameters as they are given: a preset, and what differs from it.

    preset: paper, erratum (the weights of Eq. 4 in the authors' README) or demo (for a CPU, at 2 mm).
    The others are those of `Settings`. One that isn't given, or is none, takes the preset's value; none is
    left none, so that what is shown and saved is complete.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    preset: str = "paper"
    embeddings: int | None = None
    width: int | None = None
    decoder: Literal["linear", "relu"] | None = None
    lambda1: float | None = None
    lambda2: float | None = None
    lambda3: float | None = None
    lambda4: float | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    step1_epochs: int | None = None
    step2_epochs: int | None = None
    outside: Outside | None = None
    loss_region: Literal["box", "brain"] | None = None
    step2_solver: Literal["adam", "exact"] | None = None
    precision: Literal["auto", "float32", "bfloat16"] | None = None
    cache_limit_gb: float | None = None
    reconstruction_tolerance: float | None = None
    harmonization_tolerance: float | None = None
    plateau_epochs: int | None = None

    def __post_init__(self) -> None:
        if self.preset not in self.presets:
            raise ValueError(f"there is no preset '{self.preset}'{nearest(self.preset, self.presets)}")
        for name, value in self.presets[self.preset].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        self.settings()  # refuses what is impossible

    def settings(self) -> Settings:
        """What training goes by."""
        return Settings(**{name: getattr(self, name) for name in self.presets[self.preset]})
