"""CycleGAN, many to one: scans of any scanner as a target scanner would show them, learned from anyone's scans.

Modanwal et al. (Computer Methods and Programs in Biomedicine 2021, doi 10.1016/j.cmpb.2021.106225), of whom the
discriminator's small field of view is: one that sees patches, and no whole slice, keeps anatomy. The shape is after
IGUANe (Roca et al., Medical Image Analysis 2025): one universal generator to the target, a backward one for each other
scanner. Written from their abstracts and our notes.

Simplified: slices and not volumes; the generator is MISPEL's U-Net as DeepHarmony's arm has it, with a residual, so
that arms differ by method and not by network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from baselines._target_generator import TargetGenerator

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from baselines._target_generator import Trained
    from mispel.batches import Batches
    from mispel.compute import ForEach


class CycleGAN(TargetGenerator):
    """One generator from every scanner to a target scanner, without knowing who is the same person."""

    id = "cyclegan"
    label = "CycleGAN, many to one"
    citation = "Modanwal et al., CMPB 208 (2021) 106225; Roca et al., Medical Image Analysis 99 (2025) 103388"
    limits = (
        "After the published methods, on slices. It makes scans look like the target scanner's, which is no promise "
        "that anatomy is kept; intensities are in units of each brain's median."
    )
    cost = (
        "By preset: demo, for 6 people on 4 scanners at 2 mm and two CPU cores, about two minutes; paper is for a GPU."
    )

    @dataclass(frozen=True)
    class Parameters:
        """preset: demo (narrow, two passes) or paper; what isn't given takes the preset's value.

        target: the scanner that others are brought to; by default the first of their names in order.
        width: channels of the generators' first level; discriminators have twice as many.
        field: voxels that a discriminator sees at a time: 16, 34 or 70.
        epochs, batch, learning_rate: passes over the other scanners' slices, slices a batch, and Adam's rate.
        cycle, identity: weights of these losses beside the adversarial one.
        """

        presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
            "demo": {"width": 8, "epochs": 2},
            "paper": {"width": 32, "epochs": 100},
        }

        preset: Literal["demo", "paper"] = "paper"
        target: str | None = None
        width: int | None = None
        field: Literal[16, 34, 70] = 34
        epochs: int | None = None
        batch: int = 4
        learning_rate: float = 2e-4
        cycle: float = 30.0
        identity: float = 15.0

        def __post_init__(self) -> None:
            for name, value in self.presets[self.preset].items():
                if getattr(self, name) is None:
                    object.__setattr__(self, name, value)
            for name, most in (("width", 1024), ("epochs", 1_000_000), ("batch", 100_000)):
                if not 1 <= getattr(self, name) <= most:
                    raise ValueError(f"{name} is {getattr(self, name)}; it is 1 to {most}")
            if not 0 < self.learning_rate <= 10:
                raise ValueError(f"learning_rate is {self.learning_rate:g}; it is above 0, at most 10")
            for name in ("cycle", "identity"):
                if not 0 <= getattr(self, name) <= 1e6:
                    raise ValueError(f"{name} is {getattr(self, name):g}; it is 0 to 1e6")

    parameters: Parameters

    def new_network(self) -> nn.Module:
        """The universal generator."""
        from baselines._cyclegan import Generator

        # the preset gave it, where nobody did
        return Generator(cast("int", self.parameters.width), seed=0)

    def new_learning(self, batches: Batches, medians: np.ndarray, target: int, for_each: ForEach) -> Trained:
        """The generators against the discriminators."""
        from baselines._cyclegan import CycleLearning

        learning = CycleLearning(batches, medians, target, self.parameters, seed=self.context.seed, for_each=for_each)
        return learning, lambda: learning.forward
