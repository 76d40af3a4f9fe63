"""ComBat on the means of small pieces of brain, brought back to voxels as smooth maps.

After Superpixel-ComBat (Chen et al., Imaging Neuroscience 2024, doi 10.1162/imag_a_00306), which estimates location and
scale effects of scanners in 3D superpixels of travelling people's matched images, by ComBat. Written from its abstract
and our notes. Here a superpixel's mean takes the voxel's place in ComBat, so that nobody need be scanned twice, nor is
it looked at who was; how many superpixels, on which image, and how their values become maps are choices of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from baselines._covariates import Coding, check_told_apart, read_columns
from baselines.combat import locate, shrink, why_not, why_nothing
from baselines.interface import Method, Plan
from core.errors import InputError
from core.files import read_json, write_json
from core.images import voxel_sizes
from core.jobs.command import progress
from core.study import Scan, Study

MODEL_FILE = "superpixels.npz"
SCANNERS_FILE = "scanners.json"
FEWEST_VOXELS = 0.5
"""Share of a superpixel that a scan's mask must hold for the scan to have a value there."""


def superpixels(template: np.ndarray, brain: np.ndarray, edges_mm: np.ndarray, *, edge_mm: float, compactness: float):
    """The brain (X, Y, Z), bool, in pieces of like intensity: uint16 (X, Y, Z), 1 upwards, 0 outside.

    Simple linear iterative clustering (Achanta et al. 2012) of `template`, of which a brain's mean is 1; a piece has
    about the volume of a cube of `edge_mm`. The more `compactness`, the more like cubes they are.
    """
    # imported here: only a fit needs it
    from skimage.segmentation import slic

    volume = float(np.count_nonzero(brain) * np.prod(edges_mm))
    found = slic(
        template,
        n_segments=max(1, round(volume / edge_mm**3)),
        compactness=compactness,
        mask=brain,
        spacing=tuple(float(edge) for edge in edges_mm),
        channel_axis=None,
        start_label=1,
    )
    return found.astype(np.uint16)


def piece_means(image: np.ndarray, mask: np.ndarray, pieces: np.ndarray, count: int) -> np.ndarray:
    """Means (count,), float64, of an image (X, Y, Z) over what `mask` holds of each piece; NaN where that is little."""
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    inside = pieces[mask]
    held = np.bincount(inside, minlength=count + 1)[1:]
    sums = np.bincount(inside, weights=image[mask].astype(np.float64), minlength=count + 1)[1:]
    enough = (held >= FEWEST_VOXELS * sizes) & (held > 0)
    return np.where(enough, sums / np.maximum(held, 1), np.nan)


def smooth_map(values: np.ndarray, pieces: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """A value a piece (count,) as a smooth map (X, Y, Z), float64; what is NaN is filled from around.

    Each voxel's is the mean of the pieces' values around it, by a Gaussian window of `sigma` (3,) voxels; NaN outside
    the pieces, and where none around has a value.
    """
    known = np.concatenate([[False], np.isfinite(values)])[pieces]
    filled = np.where(known, np.concatenate([[0.0], np.nan_to_num(values)])[pieces], 0.0)
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma)
    blurred = ndimage.gaussian_filter(filled, sigma)
    there = (pieces > 0) & (weight > LEAST_WEIGHT)
    return np.where(there, blurred / np.where(there, weight, 1.0), np.nan)


LEAST_WEIGHT = 1e-3
"""Of a window, that pieces with a value must fill for a voxel to have one."""


class SuperpixelComBat(Method):
    """ComBat on the means of superpixels, each scanner's slope and shift interpolated to voxels."""

    id = "superpixel_combat"
    label = "Superpixel-ComBat, unpaired"
    citation = "Chen et al., Imaging Neuroscience (2024) imag_a_00306"
    limits = (
        "After the published method, not it: that one is fitted on matched images of travelling people. Slowly varying "
        "differences alone: it cannot change noise, resolution or contrast within a piece, and makes no use of who was "
        "scanned twice."
    )
    by_voxel = True
    libraries = ("skimage",)

    @dataclass(frozen=True)
    class Parameters:
        """covariates: columns of the sheet, comma separated, whose effect is kept; numbers, or groups.

        edge_mm: a superpixel has the volume of a cube of this edge. compactness: of SLIC, on intensities of mean 1.
        smooth_mm: the sigma of the window by which pieces' values become maps.
        empirical_bayes: shrink each scanner's shifts and scales towards their mean over superpixels.
        """

        covariates: str = ""
        edge_mm: float = 10.0
        compactness: float = 0.1
        smooth_mm: float = 5.0
        empirical_bayes: bool = True

    parameters: Parameters

    @property
    def least_scans(self) -> int:
        """Two, since a scale takes two scans."""
        return 2

    def check_plan(self, plan: Plan) -> None:
        """A covariate that no scan has, and sizes that aren't above 0."""
        plan.check_covariates(self.parameters.covariates, "superpixel_combat.covariates")
        self._check_sizes()

    def _check_sizes(self) -> None:
        for name in ("edge_mm", "compactness", "smooth_mm"):
            value = getattr(self.parameters, name)
            if not 0 < value < np.inf:
                raise InputError(f"superpixel_combat.{name}: {value:g}; give a number above 0")

    def not_applicable(self, study: Study) -> str | None:
        """A single scanner, or one whose scale has too few scans."""
        return why_not(study, self.least_scans)

    def fit(self, study: Study) -> None:
        """Part the mean brain into superpixels, estimate the model of each, then the scanners' slopes and shifts."""
        self._check_sizes()
        self.coding = Coding.of(read_columns(self.parameters.covariates, study, self.id))
        covariates = self.coding.of_scans(study.scans)
        scanners = np.array([study.scanners.index(scan.scanner) for scan in study.scans])
        check_told_apart(np.eye(len(study.scanners))[scanners], covariates, self.coding, self.id)
        edges_mm = voxel_sizes(study.scans[0].affine)
        self.pieces = self._part(study, edges_mm)
        count = int(self.pieces.max())
        values = np.stack(
            [
                piece_means(scan.read(), scan.read_mask(), self.pieces, count)
                for scan in progress(study.scans, what="superpixel_combat: means")
            ]
        )
        found = locate(values, scanners, covariates)
        if not found.usable.any():
            raise InputError(f"superpixel_combat: {why_nothing(study.scanners, found.counts, self.least_scans, [])}")
        shift, scale = found.shift, found.scale
        if self.parameters.empirical_bayes:
            for number in range(len(study.scanners)):
                used = found.usable
                shift[number, used], scale[number, used] = shrink(
                    shift[number, used], scale[number, used], found.counts[number, used]
                )
        unusable = np.where(found.usable, 0.0, np.nan)
        self.scanners = study.scanners
        self.arrays = {
            "mean": found.mean + unusable,
            "slopes": found.slopes + unusable,
            "deviation": found.deviation + unusable,
            "shift": shift + unusable,
            "scale": scale + unusable,
        }

    def _part(self, study: Study, edges_mm: np.ndarray) -> np.ndarray:
        total = np.zeros(study.shape)
        held = np.zeros(study.shape, np.int32)
        for scan in progress(study.scans, what="superpixel_combat: mean brain"):
            mask = scan.read_mask()
            image = scan.read()
            total[mask] += image[mask] / image[mask].mean(dtype=np.float64)
            held += mask
        brain = held > 0
        return superpixels(
            np.where(brain, total / np.maximum(held, 1), 0.0),
            brain,
            edges_mm,
            edge_mm=self.parameters.edge_mm,
            compactness=self.parameters.compactness,
        )

    def prepare(self, study: Study) -> None:
        """Refuse a covariate that isn't like those fitted."""
        for scan in study.scans:
            self.coding.code(scan)

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan through its scanner's slope and intercept at each voxel of its mask."""
        number = self.scanners.index(scan.scanner)
        slope = 1 / np.sqrt(self.arrays["scale"][number])
        mean = self.arrays["mean"] + self.coding.code(scan) @ self.arrays["slopes"]
        # adjust(x) of ComBat, as slope x + intercept
        intercept = mean * (1 - slope) - slope * self.arrays["shift"][number] * self.arrays["deviation"]
        sigma = self.parameters.smooth_mm / voxel_sizes(scan.affine)
        slopes, intercepts = (smooth_map(values, self.pieces, sigma) for values in (slope, intercept))
        image = scan.read()
        harmonized = np.where(np.isfinite(slopes), slopes * image + intercepts, image)
        return np.where(scan.read_mask(), harmonized, 0).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `superpixels.npz` and `scanners.json`."""
        arrays = {**self.arrays, "pieces": self.pieces}
        np.savez_compressed(folder / MODEL_FILE, **arrays)  # type: ignore[arg-type]  # none is called allow_pickle
        write_json(folder / SCANNERS_FILE, {"scanners": self.scanners, "columns": list(self.coding.columns)})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        with np.load(folder / MODEL_FILE, allow_pickle=False) as stored:
            self.arrays = dict(stored)
        self.pieces = self.arrays.pop("pieces")
        described = read_json(folder / SCANNERS_FILE)
        self.scanners = described["scanners"]
        self.coding = Coding(tuple(described["columns"]))
