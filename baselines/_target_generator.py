"""What unpaired networks share that bring slices of any scanner to a target scanner's look."""

from __future__ import annotations

import abc
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from baselines._unpaired import without_names
from baselines.interface import Method, Plan
from core.boxes import cut, paste
from core.errors import InputError, nearest
from core.files import read_json, write_json, write_table
from core.study import Scan, Study

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mispel.batches import Batches
    from mispel.compute import ForEach
    from mispel.passes import Learning
    from mispel.slices import SliceStore

    Trained = tuple[Learning, Callable[[], nn.Module]]
    """What learns, and what gives the network that it has learned."""
    Begun = tuple[SliceStore, Learning, Callable[[], nn.Module], float]
    """The slices, what learns from them, what gives the trained network, and the mean unit of the target's scans."""

WEIGHTS_FILE = "weights.safetensors"
DESCRIPTION_FILE = "network.json"
LOSSES_FILE = "losses.tsv"


class TargetGenerator(Method):
    """A network from slices, in units of their scan's median, and their masks to slices as the target has them.

    `unit` says what else the units are; with `makes_target_anew` the target's scans go through the network too.
    Its parameters have `target` (a scanner, or None), `width` and what the learning takes.
    """

    needs = frozenset({"gpu"})
    random_fit = True
    unseen_scanners = True
    libraries = ("safetensors", "torch")
    makes_target_anew: ClassVar[bool] = False

    @staticmethod
    def unit(brain: np.ndarray) -> np.floating:
        """What the intensities (n,) of a scan's brain are divided by: their median."""
        return np.median(brain)

    def default_target(self, study: Study) -> str:
        """The target where none is named: the first of the scanners' names in order."""
        return min(study.scanners)

    @abc.abstractmethod
    def new_network(self) -> nn.Module:
        """The network as `new_learning` gives it, untrained, of slices and masks (B, 1, H, W)."""

    @abc.abstractmethod
    def new_learning(self, batches: Batches, medians: np.ndarray, target: int, for_each: ForEach) -> Trained:
        """What learns from a store's slices, with their scans' medians (N, M), and what gives the trained network."""

    def begin(self, study: Study, target: str, folder: Path, device: torch.device, for_each: ForEach) -> Begun:
        """What learns from a study, its slices written into `folder`."""
        from baselines._slices import all_medians
        from mispel.batches import Batches
        from mispel.slices import build_store

        store = build_store(without_names(study), folder, outside="zero")
        number, medians = store.scanners.index(target), all_medians(store)
        learning, trained = self.new_learning(Batches(store, device, region="box"), medians, number, for_each)
        return store, learning, trained, float(np.mean(np.unique(medians[store.present[:, number], number])))

    def check_plan(self, plan: Plan) -> None:
        """A target that is no scanner of the study."""
        plan.check_scanner(self.parameters.target, f"{self.id}.target")

    def not_applicable(self, study: Study) -> str | None:
        """A single scanner."""
        if len(study.scanners) < 2:
            return f"there is one scanner, {study.scanners[0]}, and nothing to bring together"
        return None

    def fit(self, study: Study) -> None:
        """Train the network; goes on from the checkpoints of a training that was killed."""
        from mispel.checkpoints import Checkpoints
        from mispel.compute import choose_device, working_threads
        from mispel.passes import run_step

        target = self.parameters.target or self.default_target(study)
        if target not in study.scanners:
            raise InputError(f"{self.id}: there is no scanner '{target}'{nearest(target, study.scanners)}")
        device = choose_device(self.context.device)
        self.used_device = device.type
        folder = self.context.checkpoint
        working = Path(tempfile.mkdtemp(prefix=f"{self.id}-")) if folder is None else folder / "working"
        try:
            own = {**asdict(self.parameters), "seed": self.context.seed, "target": target}
            # a GPU's work is started by one thread; here two halves of a step run side by side at most
            threads = 1 if device.type == "cuda" else min(self.context.threads, 2)
            with working_threads(threads) as for_each:
                store, learning, trained, unit = self.begin(study, target, working, device, for_each)
                identity = {**own, "scans": store.checksum}
                checkpoints = None if folder is None else Checkpoints(folder, identity)
                ended = run_step(learning, seed=self.context.seed, checkpoints=checkpoints)
                self._network = trained()
            self._losses, self._columns = ended.history, ["step", "epoch", *learning.losses, "precision"]
            self._described: dict[str, Any] = {
                "target": target,
                "axis": store.grid.axis,
                "edges": store.grid.affine[:3, :3].tolist(),
                "unit": unit,
            }
            self.passes = float(ended.epoch)
        finally:
            shutil.rmtree(working, ignore_errors=True)

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan as the target scanner would have given it; a target's scan is mostly scaled alone."""
        from baselines._deepharmony import aligned_box
        from baselines._slices import harmonized
        from mispel.compute import choose_device, working_threads

        if not np.allclose(scan.affine[:3, :3], np.array(self._described["edges"]), atol=1e-3):
            raise InputError(f"{scan.image}: voxels of another size or orientation than fitted; resample it")
        image, mask = scan.read(), scan.read_mask()
        image = image / np.float32(self.unit(image[mask]))
        if self.makes_target_anew or scan.scanner != self._described["target"]:
            box, axis = aligned_box(mask), self._described["axis"]
            stack, brain = (np.moveaxis(cut(values, box), axis, 0) for values in (image, mask))
            device = choose_device(self.context.device)
            with working_threads(self.context.threads) as for_each:
                made = harmonized(self._network, stack, brain, device=device, for_each=for_each)
            image = paste(np.moveaxis(made, 0, axis), box, scan.shape)
        return np.where(mask, image * np.float32(self._described["unit"]), np.float32(0))

    def save(self, folder: Path) -> None:
        """Write the network, what it is of, and the losses of every pass."""
        import pandas as pd

        from mispel.model import write_tensors

        tensors = {name: values.detach().cpu().contiguous() for name, values in self._network.state_dict().items()}
        write_tensors(folder / WEIGHTS_FILE, tensors, {"format": f"{self.id} 1"})
        write_json(folder / DESCRIPTION_FILE, self._described)
        write_table(folder / LOSSES_FILE, pd.DataFrame(self._losses, columns=self._columns))
        if self.context.checkpoint is not None:
            # the whole training stands in the model now
            shutil.rmtree(self.context.checkpoint, ignore_errors=True)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        from mispel.compute import choose_device
        from mispel.model import read_tensors

        device = choose_device(self.context.device)
        self.used_device = device.type
        self._described = read_json(folder / DESCRIPTION_FILE)
        tensors, _ = read_tensors(folder / WEIGHTS_FILE)
        self._network = self.new_network().to(device)
        self._network.load_state_dict(tensors)
