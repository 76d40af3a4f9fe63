"""MISPEL as a method of the benchmark (see `baselines.interface`)."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from baselines.interface import Method
from core.errors import InputError
from core.study import Scan, Study
from mispel.parameters import Parameters as MispelParameters

LOSSES_FILE = "losses.tsv"
EMBEDDINGS_FILE = "embeddings.npz"


class Mispel(Method):
    """One U-Net encoder and one linear decoder a scanner, trained in two steps."""

    id = "mispel"
    label = "MISPEL"
    citation = "Torbati et al., ICCV Workshops (2021) 3223-3232"
    license = "none published"
    limits = "It needs the same people scanned on every scanner, and cannot be applied to another scanner's scans."
    cost = (
        "By preset, for 18 people on 4 scanners and two CPU cores: paper and erratum about a day at 1 mm, laptop about "
        "an hour at 2 mm, demo a minute or two at 2 mm."
    )
    fits_on = "study"
    random_fit = True
    needs = frozenset({"paired", "gpu"})
    trained_together = True
    unseen_subjects = True
    unseen_scanners = False
    libraries = ("safetensors", "torch")
    Parameters = MispelParameters
    parameters: MispelParameters

    @property
    def variant(self) -> str:
        """Which weights of the loss: the paper prints (1, 0.3), the authors' code has (0.3, 1)."""
        settings = self.parameters.settings()
        return f"({settings.lambda1:g}, {settings.lambda2:g})"

    def fit(self, study: Study) -> None:
        """Train on `study` (Algorithm 1); goes on from the checkpoints of a training that was killed."""
        from mispel.compute import choose_device
        from mispel.parallel import together

        device = choose_device(self.context.device)
        self.used_device = device.type
        with together(device) as ranks:
            self._fit(study, device, ranks)

    def _fit(self, study: Study, device: Any, ranks: Any) -> None:
        """`fit` as one of several ranks, of which the first writes all files and has the model in the end."""
        from mispel.checkpoints import Checkpoints
        from mispel.slices import build_store, mapped
        from mispel.training import example_slice, train

        folder = self.context.checkpoint
        working = store = None
        try:
            if ranks.first:
                working = Path(tempfile.mkdtemp(prefix="mispel-")) if folder is None else folder / "working"
                store = build_store(study, working, outside=self.parameters.settings().outside)
            own = None if store is None else (working, replace(store, images=(), depths=()))
            where, described = ranks.of_first(own)
            if store is None:
                store = replace(described, **mapped(where, len(described.scanners)))
            checkpoints = None if folder is None else Checkpoints(folder, self._identity(store, device))
            self._training = train(
                store,
                self.parameters.settings(),
                seed=self.context.seed,
                threads=self.context.threads,
                device=device,
                folder=where,
                checkpoints=checkpoints,
                ranks=ranks,
            )
            if not ranks.first:
                return
            self._model = self._training.model
            self.passes = float(self._training.facts["step1_epochs"])
            self._example = example_slice(self._model, store)
        finally:
            if working is not None:
                shutil.rmtree(working, ignore_errors=True)

    def transform(self, scan: Scan) -> np.ndarray:
        """The harmonized scan.

        Raises `InputError` for a scanner MISPEL wasn't trained on, another scale or another kind of grid.
        """
        from mispel.compute import working_threads

        self._model.number(scan.scanner, f"{scan.image}: ")
        if scan.scale != self._model.scale:
            raise InputError(
                f"{scan.image}: read with scale '{scan.scale}', MISPEL was trained on scale '{self._model.scale}'; "
                f"read the sheet with --scale {self._model.scale}"
            )
        image, mask = scan.read(), scan.read_mask()
        self._model.check_scale(image, mask, str(scan.image))
        with working_threads(self.context.threads) as for_each:
            try:
                return self._model.harmonize(scan.scanner, image, mask, scan.affine, for_each)
            except InputError as error:
                raise InputError(f"{scan.image}: {error}") from None

    def save(self, folder: Path) -> None:
        """Write weights, description, the losses of every epoch and one slice's embeddings."""
        import pandas as pd

        from core.files import write_beside, write_table
        from mispel.model import save_model
        from mispel.training import LOSS_COLUMNS

        save_model(folder, self._model, parameters=asdict(self.parameters), training=self._training.facts)
        write_table(folder / LOSSES_FILE, pd.DataFrame(self._training.history, columns=list(LOSS_COLUMNS)))
        with write_beside(folder / EMBEDDINGS_FILE) as temporary:
            np.savez(temporary, **self._example)  # type: ignore[arg-type]  # none is called allow_pickle
        if self.context.checkpoint is not None:
            # the whole training stands in the model now
            shutil.rmtree(self.context.checkpoint, ignore_errors=True)

    def load(self, folder: Path) -> None:
        """Read a saved model. Raises `InputError` for what is missing, changed or of another version."""
        from mispel.compute import choose_device
        from mispel.model import load_model

        device = choose_device(self.context.device)
        self.used_device = device.type
        self._model, _ = load_model(folder, device)

    def _identity(self, store: Any, device: Any) -> dict[str, Any]:
        """What a checkpoint must agree in with this training, to be gone on from."""
        from mispel.compute import choose_precision

        return {
            **{key: value for key, value in asdict(self.parameters).items() if key != "preset"},
            "precision": choose_precision(self.parameters.settings().precision, device),
            "seed": self.context.seed,
            "scanners": list(store.scanners),
            "scans": store.checksum,
        }
