"""DeepHarmony: a U-Net from each scanner to a target scanner, trained on people seen by both.

Dewey et al., Magnetic Resonance Imaging 64 (2019) 160-170. Slices of a scan go in, the same slices of the
person's target scan are to come out (mean absolute error, Adam); the scan itself joins the last feature maps
before the 1x1 convolution that makes the output. The paper harmonizes two scanners; here each scanner but
the target has its own network.

Simplified against the paper: one contrast in place of four; the U-Net is MISPEL's encoder (two levels of
max-pooling, LeakyReLU, nearest-neighbor upsampling), so that the two differ by method and not by network;
axial slices alone by default, while the paper trains a network for each of three orientations and combines
them (`orientations=three`, by their median).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from baselines.interface import Method, Plan
from core.boxes import Span, cut, paste
from core.errors import InputError, nearest
from core.files import read_json, write_json
from core.jobs.command import progress
from core.study import Scan, Study

if TYPE_CHECKING:
    from baselines._deepharmony import Network

WEIGHTS_FILE = "weights.safetensors"
DESCRIPTION_FILE = "deepharmony.json"


class DeepHarmony(Method):
    """One paired U-Net a scanner, towards the target scanner; the target's scans stay as they are."""

    id = "deepharmony"
    label = "DeepHarmony"
    citation = "Dewey et al., Magnetic Resonance Imaging 64 (2019) 160-170"
    limits = (
        "It needs people scanned on each scanner and on the target, whose faults it copies, and has no network for "
        "another scanner; simplified to one contrast and, by default, to axial slices."
    )
    needs = frozenset({"paired", "gpu"})

    random_fit = True
    libraries = ("safetensors", "torch")

    @dataclass(frozen=True)
    class Parameters:
        """target: the scanner that others are harmonized to; by default the sheet's first.

        orientations: axial slices alone, or three networks a scanner (axial, coronal, sagittal), by their median.
        width: channels of the U-Net's first level.
        epochs, batch, learning_rate: of Adam; a batch is so many pairs of slices.
        """

        target: str | None = None
        orientations: Literal["axial", "three"] = "axial"
        width: int = 8
        epochs: int = 10
        batch: int = 8
        learning_rate: float = 1e-3

        def __post_init__(self) -> None:
            for name, most in (("width", 1024), ("epochs", 1_000_000), ("batch", 100_000)):
                if not 1 <= getattr(self, name) <= most:
                    raise ValueError(f"{name} is {getattr(self, name)}; it is 1 to {most}")
            if not 0 < self.learning_rate <= 10:
                raise ValueError(f"learning_rate is {self.learning_rate:g}; it is above 0, at most 10")

    parameters: Parameters

    def check_plan(self, plan: Plan) -> None:
        """A target that is no scanner of the study."""
        plan.check_scanner(self.parameters.target, "deepharmony.target")

    def not_applicable(self, study: Study) -> str | None:
        """A scanner that shares nobody with the target."""
        target = self._target_of(study)
        for scanner in study.scanners:
            if scanner != target and not _people(study, scanner, target):
                return f"nobody was scanned on both {scanner} and the target scanner {target}"
        return None

    def fit(self, study: Study) -> None:
        """Train the networks, which are independent of each other: threads share them out.

        Goes on from the checkpoints of a training that was killed.
        """
        from baselines._deepharmony import Network, PairLearning, aligned_box
        from mispel.checkpoints import Checkpoints
        from mispel.compute import choose_device, working_threads
        from mispel.passes import run_step
        from mispel.slices import axial_axis

        device = choose_device(self.context.device)
        self.used_device = device.type
        self.target = self._target_of(study)
        self.sources = [scanner for scanner in study.scanners if scanner != self.target]
        self.axes = [axial_axis(study.affine)] if self.parameters.orientations == "axial" else [0, 1, 2]
        self.edges = study.affine[:3, :3]
        brain = np.zeros(study.shape, bool)
        for scan in study.scans:
            brain |= scan.read_mask()
        with tempfile.TemporaryDirectory(prefix="deepharmony-") as folder:
            volumes, checksum = _store(study, aligned_box(brain), Path(folder))
            checkpoints = None
            if self.context.checkpoint is not None:
                identity = {**asdict(self.parameters), "target": self.target, "seed": self.context.seed}
                checkpoints = Checkpoints(self.context.checkpoint, {**identity, "scans": checksum})

            def train_one(number: int) -> tuple[Network, list[float]]:
                scanner, axis = self._work()[number]
                people = _people(study, scanner, self.target)
                weights = np.random.SeedSequence([self.context.seed, number]).generate_state(1)
                network = Network(self.parameters.width, int(weights[0])).to(device)
                learning = PairLearning(
                    network,
                    [volumes[person, scanner] for person in people],
                    [volumes[person, self.target] for person in people],
                    axis,
                    number=1 + number,
                    title=f"deepharmony: {scanner} to {self.target}, axis {axis}",
                    epochs=self.parameters.epochs,
                    batch=self.parameters.batch,
                    learning_rate=self.parameters.learning_rate,
                    device=device,
                )
                ended = run_step(learning, seed=self.context.seed, checkpoints=checkpoints)
                return network, [row["total"] for row in ended.history]

            with working_threads(self.context.threads) as for_each:
                trained = for_each(train_one, len(self._work()))
        self.networks = [network for network, _ in trained]
        self.passes = float(self.parameters.epochs)
        self.errors = [errors for _, errors in trained]

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan as the target scanner would have given it; target scans stay as they are."""
        from baselines._deepharmony import aligned_box, harmonize
        from mispel.compute import choose_device, working_threads

        image = scan.read()
        if scan.scanner == self.target:
            return image
        if not np.allclose(scan.affine[:3, :3], self.edges, atol=1e-3):
            raise InputError(f"{scan.image}: voxels of another size or orientation than fitted; resample it")
        mask = scan.read_mask()
        box = aligned_box(mask)
        device = choose_device(self.context.device)
        with working_threads(self.context.threads) as for_each:
            volumes = [
                harmonize(network, cut(image, box), axis, device, for_each)
                for network, (scanner, axis) in zip(self.networks, self._work(), strict=True)
                if scanner == scan.scanner
            ]
        return np.where(mask, paste(np.median(volumes, axis=0), box, scan.shape), np.float32(0))

    def save(self, folder: Path) -> None:
        """Write the weights, and what they are of with each epoch's error."""
        from mispel.model import write_tensors

        tensors = {
            f"{number}.{name}": values.detach().cpu().contiguous()
            for number, network in enumerate(self.networks)
            for name, values in network.state_dict().items()
        }
        write_tensors(folder / WEIGHTS_FILE, tensors, {"format": "deepharmony 1"})
        described = {
            "target": self.target,
            "sources": self.sources,
            "axes": self.axes,
            "edges": self.edges.tolist(),
            "mean_absolute_error": self.errors,
        }
        write_json(folder / DESCRIPTION_FILE, described)
        if self.context.checkpoint is not None:
            # the whole training stands in the model now
            shutil.rmtree(self.context.checkpoint, ignore_errors=True)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        from baselines._deepharmony import Network
        from mispel.compute import choose_device
        from mispel.model import read_tensors

        device = choose_device(self.context.device)
        self.used_device = device.type
        described = read_json(folder / DESCRIPTION_FILE)
        self.target, self.sources, self.axes = described["target"], described["sources"], described["axes"]
        self.edges, self.errors = np.array(described["edges"]), described["mean_absolute_error"]
        tensors, _ = read_tensors(folder / WEIGHTS_FILE)
        self.networks = []
        for number in range(len(self._work())):
            network = Network(self.parameters.width, seed=0).to(device)
            network.load_state_dict({name: tensors[f"{number}.{name}"] for name in network.state_dict()})
            self.networks.append(network)

    def _work(self) -> list[tuple[str, int]]:
        """The scanner and axis of each network."""
        return [(scanner, axis) for scanner in self.sources for axis in self.axes]

    def _target_of(self, study: Study) -> str:
        target = self.parameters.target or study.scanners[0]
        if target not in study.scanners:
            raise InputError(
                f"deepharmony: there is no scanner '{target}'{nearest(target, study.scanners)}; set --param target=..."
            )
        return target


def _people(study: Study, scanner: str, target: str) -> list[str]:
    """The subjects scanned on both."""
    return [subject for subject in study.subjects if study.find(subject, scanner) and study.find(subject, target)]


def _store(study: Study, box: tuple[Span, ...], folder: Path) -> tuple[Mapping[tuple[str, str], np.ndarray], str]:
    """Every scan inside the box, by subject and scanner, float32 on disk: memory doesn't grow with the study.

    And a checksum of them all.
    """
    path = folder / "volumes.float32"
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for scan in progress(study.scans, what="deepharmony: read"):
            content = cut(scan.read(), box).tobytes()
            digest.update(content)
            file.write(content)
    shape = tuple(stop - start for start, stop in box)
    volumes = np.memmap(path, np.float32, "r", shape=(len(study.scans), *shape))
    named = {(scan.subject, scan.scanner): volume for scan, volume in zip(study.scans, volumes, strict=True)}
    return named, digest.hexdigest()
