"""CALAMITI: anatomy and contrast of a slice apart, learned from a visit's T1- and T2-weighted images.

Zuo et al. (NeuroImage 2021, "Unsupervised MR harmonization by learning disentangled representations using information
bottleneck theory"), the figures after the authors' later HACA3 (Computerized Medical Imaging and Graphics 2023). One
network finds anatomy beta, one of a few channels a pixel (Gumbel-softmax), which both contrasts share; one finds the
contrast theta, two numbers; a third draws a slice from both. A scan is harmonized by its own beta and the mean theta of
the target scanner's T1-weighted scans. Written from the abstract and our notes, not from code.

Simplified: axial slices alone and no fusion of orientations; MISPEL's U-Net with three levels in place of four; no
perceptual loss, which would need a network's weights to be downloaded, and no discriminator on beta. Ours: the
temperature of the Gumbel-softmax, 1; the logits of each class are brought to one mean and spread over a slice's brain,
since without that all pixels became one class; the target's scans are drawn anew too, so that what a drawing loses is
no difference between scanners.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np

from baselines._target_generator import TargetGenerator
from core.study import Study

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from baselines._target_generator import Begun, Trained
    from mispel.batches import Batches
    from mispel.compute import ForEach

UNIT_PERCENTILE = 95


class Calamiti(TargetGenerator):
    """A scan's anatomy drawn in the target scanner's contrast; needs T2-weighted images to learn, and none to apply."""

    id = "calamiti"
    label = "CALAMITI"
    citation = "Zuo et al., NeuroImage 243 (2021) 118569"
    limits = (
        "After the published method, on axial slices, without its perceptual loss and its discriminator. A slice is "
        "drawn anew from a few classes of anatomy a pixel: detail that these don't hold is lost."
    )
    cost = "By preset: demo, for 6 people on 4 scanners at 2 mm and two CPU cores, some minutes; paper is for a GPU."
    contrasts = ("T1w", "T2w")
    makes_target_anew = True

    @dataclass(frozen=True)
    class Parameters:
        """preset: demo (narrow, four passes, eight times the rate) or paper; what isn't given takes the preset's value.

        target: the scanner whose mean contrast scans are drawn in; by default the first name in order of those with
        T2-weighted images. channels: of anatomy. beta_width, width: channels of the first level of the network that
        finds anatomy, and of the one that draws. epochs, batch, learning_rate: passes over all slices, pairs of slices
        a batch, and Adam's rate. reconstruction, divergence, cycle: weights of the losses.
        """

        presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
            "demo": {"beta_width": 4, "width": 8, "epochs": 4, "learning_rate": 4e-3},
            "paper": {"beta_width": 8, "width": 16, "epochs": 100, "learning_rate": 5e-4},
        }

        preset: Literal["demo", "paper"] = "paper"
        target: str | None = None
        channels: int = 5
        beta_width: int | None = None
        width: int | None = None
        epochs: int | None = None
        batch: int = 4
        learning_rate: float | None = None
        reconstruction: float = 10.0
        divergence: float = 1e-5
        cycle: float = 0.05

        def __post_init__(self) -> None:
            for name, value in self.presets[self.preset].items():
                if getattr(self, name) is None:
                    object.__setattr__(self, name, value)
            for name, least, most in (
                ("channels", 2, 64),
                ("beta_width", 1, 1024),
                ("width", 1, 1024),
                ("epochs", 1, 1_000_000),
                ("batch", 1, 100_000),
            ):
                if not least <= getattr(self, name) <= most:
                    raise ValueError(f"{name} is {getattr(self, name)}; it is {least} to {most}")
            if not 0 < cast("float", self.learning_rate) <= 10:
                raise ValueError(f"learning_rate is {self.learning_rate:g}; it is above 0, at most 10")
            for name in ("reconstruction", "divergence", "cycle"):
                if not 0 <= getattr(self, name) <= 1e6:
                    raise ValueError(f"{name} is {getattr(self, name):g}; it is 0 to 1e6")

    parameters: Parameters

    @staticmethod
    def unit(brain: np.ndarray) -> np.floating:
        """The 95th percentile."""
        return np.percentile(brain, UNIT_PERCENTILE)

    def default_target(self, study: Study) -> str:
        """The first name in order of the scanners with T2-weighted images."""
        return min(scan.scanner for scan in study.scans if scan.t2 is not None)

    def not_applicable(self, study: Study) -> str | None:
        """A single scanner, or a target without T2-weighted images; a study without any is refused by `contrasts`."""
        target = self.parameters.target
        if target in study.scanners and all(scan.t2 is None for scan in study.of_scanner(target)):
            return f"no scan of the target scanner {target} has a T2-weighted image"
        return super().not_applicable(study)

    def new_network(self) -> nn.Module:
        """Anatomy, contrast and drawing."""
        from baselines._calamiti import Disentangled

        return Disentangled(self.parameters, seed=0)

    def begin(self, study: Study, target: str, folder: Path, device: torch.device, for_each: ForEach) -> Begun:
        """Both contrasts' slices of every scan with a T2-weighted image, whoever and whatever scanner it is of."""
        from baselines._calamiti import both_contrasts
        from baselines._slices import units_of
        from mispel.batches import Batches
        from mispel.slices import build_store

        pairs, scanners = both_contrasts(study)
        store = build_store(pairs, folder, outside="zero")
        units = np.stack([units_of(store, contrast, self.unit) for contrast in (0, 1)], axis=1)
        of_target = np.array([scanners[subject] == target for subject in store.subjects])
        self._of_target = np.flatnonzero(of_target)
        learning, trained = self.new_learning(Batches(store, device, region="box"), units, 0, for_each)
        return store, learning, trained, float(np.mean(np.unique(units[of_target, 0])))

    def new_learning(self, batches: Batches, medians: np.ndarray, target: int, for_each: ForEach) -> Trained:
        """The three networks together; `medians` are 95th percentiles, `target` is the contrast that is harmonized."""
        from baselines._calamiti import DisentangledLearning

        learning = DisentangledLearning(batches, medians, self.parameters, seed=self.context.seed, for_each=for_each)
        return learning, lambda: learning.towards(self._of_target, target)
