"""The template that `python -m baselines new NAME` writes."""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import InputError
from core.files import write_text

TEMPLATE = '''"""{title}: say here in a sentence what it does, whose paper it is, and what it can't do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.interface import Method
from core.study import Scan, Study


class {title}(Method):
    """Brings every scanner's standard deviation in the brain to the study's. Replace it by your method."""

    id = "{name}"
    label = "{title}"
    citation = "your paper"
    # of your code, and when it was published; `python -m baselines list`, the report and merged pages show them
    license = "not known"
    year = None
    limits = "say in a sentence what it cannot do"
    # what is learned may be applied to people, or to scanners, that were not there in `fit`
    unseen_subjects = True
    unseen_scanners = False
    # `prepare` and `transform` see one visit and one scanner at a time; True shows all scans of a visit, without a rank
    uses_other_scans = False
    # which controls a run adds: a fit on permuted scanner labels; a blur, unless each voxel's intensity is mapped by
    # itself (as below: then True); further seeds, where the fit is random
    learns_scanners = True
    maps_intensities = False
    random_fit = False
    # True where what is learned is kept by place, such as a map of voxels: scans on another grid are then refused
    by_voxel = False

    @dataclass(frozen=True)
    class Parameters:
        """strength: share of the difference that is removed, 0 to 1."""

        strength: float = 1.0

    parameters: Parameters

    def fit(self, study: Study) -> None:
        """`scan.read()` gives float32 (X, Y, Z), 0 outside `scan.read_mask()`; read one scan at a time."""
        found: dict[str, list[float]] = {{scanner: [] for scanner in study.scanners}}
        for scan in study.scans:
            # a run's scans have a mean of 1 already, so a method that shifts or scales by it changes nothing
            found[scan.scanner].append(float(scan.read()[scan.read_mask()].std()))
        self.spreads = {{scanner: float(np.mean(values)) for scanner, values in found.items()}}

    def transform(self, scan: Scan) -> np.ndarray:
        """Return float32 of the scan's shape, 0 outside the mask; anything else is refused."""
        image, mask = scan.read(), scan.read_mask()
        target = np.mean(list(self.spreads.values()))
        factor = 1 + self.parameters.strength * (target / self.spreads[scan.scanner] - 1)
        mean = image[mask].mean()
        return np.where(mask, mean + factor * (image - mean), 0).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write all that `transform` needs; no pickle."""
        np.savez(folder / "spreads.npz", scanners=list(self.spreads), spreads=list(self.spreads.values()))

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        with np.load(folder / "spreads.npz", allow_pickle=False) as stored:
            self.spreads = dict(zip(stored["scanners"].tolist(), stored["spreads"].tolist(), strict=True))
'''


def write_template(name: str, folder: Path | None = None) -> Path:
    """Write a working method called `name` into `folder` (this one by default) and return its path.

    Raises `InputError` for a name that cannot be an id, or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"'{name}' cannot be a method's id; use lower case letters, digits and _")
    path = (folder or Path(__file__).parents[1]) / f"{name}.py"
    if path.exists():
        raise InputError(f"{path} exists; choose another name")
    title = "".join(part.capitalize() for part in name.split("_"))
    write_text(path, TEMPLATE.format(name=name, title=title))
    return path
