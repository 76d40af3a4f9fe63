"""CycleGAN, many to one: scans of any scanner as a target scanner would show them, learned from anyone's scans.

Modanwal et al. (Computer Methods and Programs in Biomedicine 2021, doi 10.1016/j.cmpb.2021.106225), of whom the
discriminator's small field of view is: one that sees patches, and no whole slice, keeps anatomy. The shape is after
IGUANe (Roca et al., Medical Image Analysis 2025): one universal generator to the target, a backward one for each other
scanner. Written from their abstracts and our notes.

Simplified: slices and not volumes; the generator is MISPEL's U-Net as DeepHarmony's arm has it, with a residual, so
that arms differ by method and not by network.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from baselines._unpaired import without_names
from baselines.interface import Method, Plan
from core.boxes import cut, paste
from core.errors import InputError, nearest
from core.files import read_json, write_json, write_table
from core.study import Scan, Study

WEIGHTS_FILE = "weights.safetensors"
DESCRIPTION_FILE = "cyclegan.json"
LOSSES_FILE = "losses.tsv"


class CycleGAN(Method):
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
    needs = frozenset({"gpu"})
    random_fit = True
    unseen_scanners = True
    libraries = ("safetensors", "torch")

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

    def check_plan(self, plan: Plan) -> None:
        """A target that is no scanner of the study."""
        plan.check_scanner(self.parameters.target, f"{self.id}.target")

    def not_applicable(self, study: Study) -> str | None:
        """A single scanner."""
        if len(study.scanners) < 2:
            return f"there is one scanner, {study.scanners[0]}, and nothing to bring together"
        return None

    def fit(self, study: Study) -> None:
        """Train the generators against the discriminators; goes on from the checkpoints of a killed training."""
        from baselines._cyclegan import CycleLearning
        from mispel.batches import Batches
        from mispel.checkpoints import Checkpoints
        from mispel.compute import choose_device, working_threads
        from mispel.passes import run_step
        from mispel.slices import build_store

        target = self.parameters.target or min(study.scanners)
        if target not in study.scanners:
            raise InputError(f"{self.id}: there is no scanner '{target}'{nearest(target, study.scanners)}")
        device = choose_device(self.context.device)
        self.used_device = device.type
        folder = self.context.checkpoint
        working = Path(tempfile.mkdtemp(prefix="cyclegan-")) if folder is None else folder / "working"
        try:
            store = build_store(without_names(study), working, outside="zero")
            identity = {**asdict(self.parameters), "seed": self.context.seed, "scans": store.checksum, "target": target}
            checkpoints = None if folder is None else Checkpoints(folder, identity)
            # both directions of the cycle side by side
            threads = 1 if device.type == "cuda" else min(self.context.threads, 2)
            with working_threads(threads) as for_each:
                learning = CycleLearning(
                    store,
                    store.scanners.index(target),
                    self.parameters,
                    seed=self.context.seed,
                    batches=Batches(store, device, region="box"),
                    for_each=for_each,
                )
                ended = run_step(learning, seed=self.context.seed, checkpoints=checkpoints)
            there = learning.medians[learning.slices[learning.target], learning.target]
            self._generator, self._losses = learning.forward, ended.history
            self._columns = ["step", "epoch", *learning.losses, "precision"]
            self._described = {
                "target": target,
                "width": self.parameters.width,
                "axis": store.grid.axis,
                "edges": store.grid.affine[:3, :3].tolist(),
                "median": float(np.mean(np.unique(there))),
            }
            self.passes = float(ended.epoch)
        finally:
            shutil.rmtree(working, ignore_errors=True)

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan as the target scanner would have given it; a target's scan is scaled alone."""
        from baselines._cyclegan import harmonized
        from baselines._deepharmony import INFERENCE_BATCH, aligned_box
        from mispel.compute import choose_device, working_threads

        if not np.allclose(scan.affine[:3, :3], np.array(self._described["edges"]), atol=1e-3):
            raise InputError(f"{scan.image}: voxels of another size or orientation than fitted; resample it")
        image, mask = scan.read(), scan.read_mask()
        image = image / np.float32(np.median(image[mask]))
        if scan.scanner != self._described["target"]:
            box, axis = aligned_box(mask), self._described["axis"]
            stack, brain = (np.moveaxis(cut(values, box), axis, 0) for values in (image, mask))
            device = choose_device(self.context.device)
            with working_threads(self.context.threads) as for_each:
                made = harmonized(
                    self._generator, stack, brain, batch=INFERENCE_BATCH, device=device, for_each=for_each
                )
            image = paste(np.moveaxis(made, 0, axis), box, scan.shape)
        return np.where(mask, image * np.float32(self._described["median"]), np.float32(0))

    def save(self, folder: Path) -> None:
        """Write the generator, what it is of, and the losses of every pass."""
        import pandas as pd

        from mispel.model import write_tensors

        tensors = {name: values.detach().cpu().contiguous() for name, values in self._generator.state_dict().items()}
        write_tensors(folder / WEIGHTS_FILE, tensors, {"format": "cyclegan 1"})
        write_json(folder / DESCRIPTION_FILE, self._described)
        write_table(folder / LOSSES_FILE, pd.DataFrame(self._losses, columns=self._columns))
        if self.context.checkpoint is not None:
            # the whole training stands in the model now
            shutil.rmtree(self.context.checkpoint, ignore_errors=True)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        from baselines._cyclegan import Generator
        from mispel.compute import choose_device
        from mispel.model import read_tensors

        device = choose_device(self.context.device)
        self.used_device = device.type
        self._described = read_json(folder / DESCRIPTION_FILE)
        tensors, _ = read_tensors(folder / WEIGHTS_FILE)
        self._generator = Generator(self._described["width"], seed=0).to(device)
        self._generator.load_state_dict(tensors)
