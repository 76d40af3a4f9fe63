"""A trained MISPEL: encoders and decoder coefficients by scanner, and what is needed to apply them."""

from __future__ import annotations

import hashlib
import json
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from core.errors import Caution, InputError
from core.files import read_json, write_beside, write_json
from core.options import make
from mispel.compute import ForEach, choose_precision
from mispel.network import Encoder, decode, new_coefficients, new_encoder
from mispel.outside import MARGIN
from mispel.parameters import Outside, Parameters
from mispel.slices import Box, Grid, from_slices, network_slices, to_slices

FORMAT = "mispel 2"
WEIGHTS_FILE = "weights.safetensors"
DESCRIPTION_FILE = "model.json"
INFERENCE_BATCH = 8
SCALE_TOLD, SCALE_REFUSED = 1.1, 2.0
"""By how much a scan's mean over the brain may lie beyond the training scans' before it is warned of, and refused.

The scans of a run mostly have a mean of 1; one as it came from a scanner often is in the hundreds.
"""


@dataclass
class Model:
    """Encoders and decoders by scanner, and of the scans they learned from the box, grid, scale and surroundings.

    precision: float32 or bfloat16, of the encoders where scans are harmonized.
    brain_means: the least and the greatest of the scans' means over their brains; None of a model saved without.
    """

    scanners: tuple[str, ...]
    encoders: list[Encoder]
    coefficients: Tensor
    relu: bool
    box: Box
    grid: Grid
    scale: str
    outside: Outside
    precision: str
    brain_means: tuple[float, float] | None = None

    @property
    def width(self) -> int:
        """Channels of the encoders' first level."""
        return self.encoders[0].down1.first.out_channels

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.coefficients.device

    def number(self, scanner: str, where: str = "") -> int:
        """The scanner's number. Raises `InputError`, beginning with `where`, for one it wasn't trained on."""
        if scanner not in self.scanners:
            raise InputError(
                f"{where}scanner '{scanner}' is not among those MISPEL was trained on: "
                f"{', '.join(self.scanners)}; "
                "train again with scans from it, or leave it out"
            )
        return self.scanners.index(scanner)

    def check_scale(self, image: np.ndarray, mask: np.ndarray, where: str) -> None:
        """Refuse an image (X, Y, Z) that isn't on the scale of the training scans, by its mean over the brain.

        Warns of a lesser difference (`Caution`). Both begin with `where`, and name the means and the remedy.
        """
        if self.brain_means is None or self.brain_means[0] <= 0:
            return
        least, greatest = self.brain_means
        found = float(image[mask].mean(dtype=np.float64))
        far = max(least / found, found / greatest) if found > 0 else np.inf
        if far <= SCALE_TOLD:
            return
        trained = f"{least:.4g}" if greatest < 1.001 * least else f"{least:.4g} to {greatest:.4g}"
        told = (
            f"{where}: its mean over the brain is {found:.4g}, those of the scans MISPEL was trained on {trained}; "
            "bring it to their scale first (a run's scans are divided by their mean over the brain, unless it was "
            "configured otherwise)"
        )
        if far > SCALE_REFUSED:
            raise InputError(told)
        warnings.warn(told, Caution, stacklevel=2)

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name, on the CPU."""
        named = {
            f"encoder.{number}.{name}": weights
            for number, encoder in enumerate(self.encoders)
            for name, weights in encoder.state_dict().items()
        }
        named["decoder.coefficients"] = self.coefficients
        return {name: weights.detach().cpu().contiguous() for name, weights in named.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over weights that `tensors` gave."""
        for number, encoder in enumerate(self.encoders):
            prefix = f"encoder.{number}."
            encoder.load_state_dict({name: tensors[prefix + name] for name in encoder.state_dict()})
        with torch.no_grad():
            self.coefficients.copy_(tensors["decoder.coefficients"])

    def encode(self, number: int, slices: Tensor, *, precision: str = "float32") -> Tensor:
        """Embeddings (B, L, H, W) of slices (B, 1, H, W) of scanner `number`: float32, without gradient.

        `precision` is that of the layers before the last.
        """
        half = precision == "bfloat16"
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            return self.encoders[number](slices.contiguous(memory_format=torch.channels_last))

    def harmonize_slices(
        self, number: int, slices: np.ndarray, for_each: ForEach, *, batch: int = INFERENCE_BATCH
    ) -> np.ndarray:
        """Harmonized slices (S, H, W) of scanner `number`, float32; H and W divisible by 4 (Eq. 1).

        They are computed `batch` at a time.
        """
        coefficients = self.coefficients.detach()[number : number + 1]
        starts = range(0, len(slices), batch)

        def harmonized(index: int) -> np.ndarray:
            part = torch.from_numpy(slices[starts[index] : starts[index] + batch])
            embeddings = self.encode(number, part[:, None].to(self.device), precision=self.precision)
            return decode(embeddings[:, None], coefficients, relu=self.relu)[:, 0].cpu().numpy()

        return np.concatenate(for_each(harmonized, len(starts)))

    def harmonize(
        self, scanner: str, image: np.ndarray, mask: np.ndarray, affine: np.ndarray, for_each: ForEach
    ) -> np.ndarray:
        """One harmonized image (X, Y, Z), float32, 0 outside the mask.

        The head may reach beyond the training scans' box, which then grows outward; nothing is cut or rescaled.
        Raises `InputError` for an unknown scanner or voxels of another size or orientation.
        """
        number = self.number(scanner)
        inside = to_slices(mask, self.grid.axis)
        box = self.box.shifted(*self.grid.plane_shift(affine)).around(inside, MARGIN[self.outside])
        positions = np.flatnonzero(inside.any(axis=(1, 2)))
        slices = network_slices(image, mask, box, self.grid, positions, outside=self.outside)
        result = np.zeros(inside.shape, np.float32)
        result[positions] = box.paste(self.harmonize_slices(number, slices, for_each), inside.shape[1:])
        return np.ascontiguousarray(from_slices(np.where(inside, result, np.float32(0)), self.grid.axis))


def new_model(
    scanners: tuple[str, ...],
    *,
    width: int,
    embeddings: int,
    relu: bool,
    seed: int,
    box: Box,
    grid: Grid,
    scale: str,
    outside: Outside,
    precision: str,
    device: torch.device,
    brain_means: tuple[float, float] | None = None,
) -> Model:
    """A model as training begins; its weights depend on `seed` and the number of scanners alone."""
    seeds = [int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) for number in range(len(scanners))]
    encoders = [new_encoder(width=width, embeddings=embeddings, seed=drawn).to(device) for drawn in seeds]
    coefficients = new_coefficients(len(scanners), embeddings).to(device)
    return Model(scanners, encoders, coefficients, relu, box, grid, scale, outside, precision, brain_means)


def checksum_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors as safetensors with `about` as JSON in the header, whole or not at all.

    Raises OSError, naming the file, when the disk is full.
    """
    # one metadata entry: the order of several isn't fixed, and equal models are to have equal bytes
    header = {"about": json.dumps({**about, "checksum": checksum_of(tensors)}, sort_keys=True)}
    content = safetensors.torch.save(dict(tensors), metadata=header)
    with write_beside(path) as temporary:
        temporary.write_bytes(content)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote. Raises `InputError` when the file is absent, truncated or changed."""
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            about = json.loads((opened.metadata() or {})["about"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (safetensors' handle can't be iterated)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: truncated or not written by MISPEL ({error})") from None
    if checksum_of(tensors) != about.pop("checksum", None):
        raise InputError(f"{path}: its values do not give the checksum they were written with")
    return tensors, about


def save_model(folder: Path, model: Model, *, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """Write weights and description into `folder`; `training` is what is worth knowing of how they came about."""
    tensors = model.tensors()
    write_tensors(folder / WEIGHTS_FILE, tensors, {"format": FORMAT})
    write_json(
        folder / DESCRIPTION_FILE,
        {
            "format": FORMAT,
            "scanners": list(model.scanners),
            "parameters": dict(parameters),
            "decoder_coefficients": {
                scanner: [float(f"{value:.9g}") for value in row]
                for scanner, row in zip(model.scanners, model.coefficients.detach().cpu().tolist(), strict=True)
            },
            "box": vars(model.box),
            "shape": list(model.grid.shape),
            "affine": model.grid.affine.tolist(),
            "scale": model.scale,
            "brain_means": model.brain_means,
            "weights_checksum": checksum_of(tensors),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "torch")}},
            "training": dict(training),
        },
    )


def load_model(folder: Path, device: torch.device) -> tuple[Model, dict[str, Any]]:
    """The model saved in `folder` and its description.

    Raises `InputError` for another format, weights that do not fit their description or were changed.
    """
    path = folder / DESCRIPTION_FILE
    description = read_json(path)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else None
        raise InputError(f"{path}: format '{found}', this version reads '{FORMAT}'; train again")
    try:
        settings = make(Parameters, description["parameters"], f"{path}: parameters").settings()
        model = new_model(
            tuple(description["scanners"]),
            width=settings.width,
            embeddings=settings.embeddings,
            relu=settings.decoder == "relu",
            seed=0,
            box=Box(**description["box"]),
            grid=Grid(tuple(description["shape"]), np.array(description["affine"])),
            scale=description["scale"],
            outside=settings.outside,
            precision=choose_precision(settings.precision, device),
            device=device,
            # models saved before have none
            brain_means=None if (means := description.get("brain_means")) is None else (means[0], means[1]),
        )
        expected = description["weights_checksum"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: lacks {error} or holds something else there; train again") from None
    tensors, _ = read_tensors(folder / WEIGHTS_FILE)
    if checksum_of(tensors) != expected:
        raise InputError(f"{folder}: {WEIGHTS_FILE} and {DESCRIPTION_FILE} are not of one model; train again")
    needed = {name: tuple(weights.shape) for name, weights in model.tensors().items()}
    found = {name: tuple(weights.shape) for name, weights in tensors.items()}
    if needed != found:
        odd = sorted(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name))[0]
        raise InputError(
            f"{folder / WEIGHTS_FILE}: {odd} has shape {found.get(odd)}, the description says {needed.get(odd)}; "
            "train again"
        )
    model.load_tensors(tensors)
    return model, description
