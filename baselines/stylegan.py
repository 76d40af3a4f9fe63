"""Style transfer without scanner labels: StarGAN v2 with one domain (Liu et al., MICCAI 2021; Choi et al., CVPR 2020).

A generator makes a slice anew in a style of 64 numbers, which come from another slice by an encoder or from chance by a
mapping network; a discriminator tells made slices from real ones. Scans are harmonized by the style of the target
scanner. Written from the papers and our notes, not from code.

Simplified: two levels of the networks in place of four; latent and reference halves of a step are one update; the
style is the mean over the target's slices, in place of one reference image's.
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


class StyleGAN(TargetGenerator):
    """Every scan made anew in the style of the target scanner's, learned without scanner labels."""

    id = "stylegan"
    label = "Style transfer GAN"
    citation = "Liu et al., MICCAI (2021) 313-322; Choi et al., CVPR (2020) 8188-8197"
    limits = (
        "After the published method, on slices. It draws a slice anew: what its cycle doesn't bring back is lost, and "
        "after the few batches of the preset demo that is much."
    )
    cost = "By preset: demo, for 6 people on 4 scanners at 2 mm and two CPU cores, some minutes; paper is for a GPU."

    @dataclass(frozen=True)
    class Parameters:
        """preset: demo (narrow, one pass, ten times the rate) or paper; what isn't given takes the preset's value.

        target: the scanner in whose style scans are made; by default the first of their names in order.
        width, hidden: channels of the networks' first level, and of the mapping from latent codes to styles.
        epochs, batch, learning_rate: passes over all slices, slices a batch, and Adam's rate.
        cycle: weight of the cycle's loss beside the others, which have 1. average: of the running mean of weights, how
        much is kept at each batch.
        """

        presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
            "demo": {"width": 4, "hidden": 64, "epochs": 1, "learning_rate": 1e-3, "average": 0.98},
            "paper": {"width": 64, "hidden": 512, "epochs": 200, "learning_rate": 1e-4, "average": 0.999},
        }

        preset: Literal["demo", "paper"] = "paper"
        target: str | None = None
        width: int | None = None
        hidden: int | None = None
        epochs: int | None = None
        batch: int = 4
        learning_rate: float | None = None
        cycle: float = 100.0
        average: float | None = None

        def __post_init__(self) -> None:
            for name, value in self.presets[self.preset].items():
                if getattr(self, name) is None:
                    object.__setattr__(self, name, value)
            for name, most in (("width", 1024), ("hidden", 10_000), ("epochs", 1_000_000), ("batch", 100_000)):
                if not 1 <= getattr(self, name) <= most:
                    raise ValueError(f"{name} is {getattr(self, name)}; it is 1 to {most}")
            for name, least, greatest in (("learning_rate", 1e-12, 10), ("cycle", 0, 1e6), ("average", 0, 1)):
                if not least <= getattr(self, name) <= greatest:
                    raise ValueError(f"{name} is {getattr(self, name):g}; it is {least:g} to {greatest:g}")

    parameters: Parameters

    def new_network(self) -> nn.Module:
        """The generator with a style."""
        from baselines._stylegan import Stylist

        # the preset gave it, where nobody did
        return Stylist(cast("int", self.parameters.width))

    def new_learning(self, batches: Batches, medians: np.ndarray, target: int, for_each: ForEach) -> Trained:
        """The generator, mapping and style encoder against the discriminator."""
        from baselines._stylegan import StyleLearning

        learning = StyleLearning(batches, medians, target, self.parameters, seed=self.context.seed, for_each=for_each)
        return learning, learning.stylist
