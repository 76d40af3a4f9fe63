"""RAVEL: removes what cerebrospinal fluid says about the scanner from every voxel, after White Stripe.

Fortin et al., NeuroImage 132 (2016) 198-212. Voxels of CSF are controls: what varies in them from
scan to scan is taken to be unwanted. Its first factors are regressed out of every voxel.

Our own, since the only Python version (`intensity-normalization`) dropped RAVEL in 3.0. The factors
come from the small scans x scans Gram matrix in float64 and images are read one by one, so memory
doesn't grow with voxels x scans. A run whose scans and engine are those of its segmentation gives the fit RAW's
labels; by hand it segments the scans itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines._covariates import is_constant, read_columns
from baselines.interface import Method, Plan
from baselines.whitestripe import WhiteStripe
from core.errors import InputError
from core.images import scale_to_mean, to_mask, voxel_sizes
from core.jobs.command import progress
from core.names import SEGMENTER_SCALE, TISSUES
from core.paths import check_is_file
from core.run_folder import hard_labels_name
from core.study import Scan, Study
from segmentation import segment
from segmentation.interface import check_engine

MODEL_FILE = "ravel.npz"
CSF = TISSUES.index("CSF") + 1
MOST_FACTORS = 1000
SCALED = 1e-6
"""A scan whose mean is nearer to 1 is on the study's scale. Divided again, some voxels would move by their last bit."""


def control_mask(csf_counts: np.ndarray, brain: np.ndarray, scans: int, probability: float) -> np.ndarray:
    """Voxels of `brain` (X, Y, Z) that are CSF in at least floor(probability x scans) of `scans` images.

    Raises `InputError` where there are none, with the highest probability that would leave some.
    """
    needed = int(np.floor(probability * scans))
    found = brain & (csf_counts >= max(needed, 1))
    if not found.any():
        most = int(csf_counts[brain].max(initial=0))
        raise InputError(
            f"no voxel is CSF in {needed} of {scans} scans, the most is {most}: "
            + (f"set --param probability={most / scans:.3g}" if most else "give --param control_mask=FILE")
        )
    return found


def unwanted_factors(control: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` right singular vectors (scans, count) and singular values of `control` (voxels, scans).

    Neither centered nor scaled (Fortin et al. 2016, section 2.4; centering moves the result by more than
    the whole correction). Each vector's sign, which is arbitrary, makes its sum positive.
    """
    values, vectors = np.linalg.eigh(control.T @ control)
    first = np.argsort(values)[::-1][:count]
    vectors = vectors[:, first]
    vectors = vectors * np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)
    return vectors, np.sqrt(np.maximum(values[first], 0))


def regression_weights(factors: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Weights (scans, factors) so that intensities (voxels, scans) @ weights are the factors' coefficients.

    Least squares without intercept on `factors` (scans, k) and `covariates` (scans, c) together.
    """
    design = np.hstack([factors, covariates])
    return np.linalg.pinv(design).T[:, : factors.shape[1]]


class Ravel(Method):
    """RAVEL with White Stripe intensities; its output stays in White Stripe's unit."""

    id = "ravel"
    learns_scanners = False
    label = "RAVEL"
    citation = "Fortin et al., NeuroImage 132 (2016) 198-212"
    license = "GPL-2"
    limits = "Linear and voxel by voxel: it cannot change noise or resolution, and needs voxels that are CSF in all."
    unseen_scanners = True
    by_voxel = True

    @dataclass(frozen=True)
    class Parameters:
        """factors: how many unwanted factors are removed (b of the paper, 1).

        probability: share of the scans in which a control voxel is CSF.
        control_mask: a NIfTI file of control voxels, used unchanged, in place of one made here.
        erosion_mm: control voxels made here keep this far from the brain's edge.
        covariates: columns of the sheet, comma separated, fitted along and kept.
        striped: the scans come White Stripe normalized already (then give a control_mask).
        width: White Stripe's half width.
        engine: the segmenter that finds CSF.
        """

        factors: int = 1
        probability: float = 1.0
        control_mask: Path | None = None
        erosion_mm: float = 4.0
        covariates: str = ""
        striped: bool = False
        width: float = 0.05
        engine: str = "hmrf"

        def __post_init__(self) -> None:
            if not 1 <= self.factors <= MOST_FACTORS:
                raise ValueError(f"factors is {self.factors}; it is 1 to {MOST_FACTORS}")
            if not 0 < self.probability <= 1:
                raise ValueError(f"probability is {self.probability:g}; it is a share above 0, at most 1")
            if self.striped and self.control_mask is None:
                raise ValueError("striped scans can't be segmented: give control_mask=FILE too")
            if not 0 <= self.erosion_mm <= 100:
                raise ValueError(f"erosion_mm is {self.erosion_mm:g}; it is 0 to 100")
            if not 0 < self.width <= 0.5:
                raise ValueError(f"width is {self.width:g}; it is a share between 0 and 0.5")

    parameters: Parameters

    def check_plan(self, plan: Plan) -> None:
        """A covariate that no scan has, an engine or a mask that isn't there."""
        plan.check_covariates(self.parameters.covariates, "ravel.covariates")
        check_engine(self.parameters.engine, "ravel.engine")
        if self.parameters.control_mask is not None:
            check_is_file(self.parameters.control_mask)

    @property
    def labels_by(self) -> str | None:
        """The engine that finds CSF; none where a mask of control voxels is given."""
        return self.parameters.engine if self.parameters.control_mask is None else None

    def fit(self, study: Study) -> None:
        """Find control voxels, their factors, and each voxel's coefficients."""
        count = len(study.scans)
        if self.parameters.factors >= count:
            raise InputError(f"ravel: {self.parameters.factors} factors need more scans than {count}")
        covariates = self._covariates(study)
        mask = self._control_mask(study)
        brain = np.zeros(study.shape, bool)
        control = np.empty((int(mask.sum()), count))
        for number, scan in enumerate(progress(study.scans, what="ravel: control voxels")):
            control[:, number] = self._striped(scan)[mask]
            brain |= scan.read_mask()
        factors, singular_values = unwanted_factors(control, self.parameters.factors)
        weights = regression_weights(factors, covariates)
        coefficients = np.zeros((int(brain.sum()), self.parameters.factors))
        means = np.zeros(len(coefficients))
        for number, scan in enumerate(progress(study.scans, what="ravel: coefficients")):
            voxels = self._striped(scan)[brain].astype(np.float64)
            coefficients += np.outer(voxels, weights[number])
            means += voxels / count
        self.arrays = {
            "control": np.flatnonzero(mask),
            "brain": np.flatnonzero(brain),
            # z = (Vc Z)' x / d^2 gives a training scan its own row of Z, and a new scan its place among them
            "projection": control @ factors / singular_values**2,
            "coefficients": coefficients.astype(np.float32),
            "means": means.astype(np.float32),
        }

    def transform(self, scan: Scan) -> np.ndarray:
        """V - Z gamma + mean of V over the training scans (Fortin et al. 2016, Eq. 3)."""
        striped = self._striped(scan)
        factors = striped.ravel()[self.arrays["control"]] @ self.arrays["projection"]
        corrected = striped.ravel()
        corrected[self.arrays["brain"]] += self.arrays["means"] - self.arrays["coefficients"] @ factors
        return np.where(scan.read_mask(), corrected.reshape(scan.shape), np.float32(0))

    def save(self, folder: Path) -> None:
        """Write `ravel.npz`."""
        np.savez(folder / MODEL_FILE, **self.arrays)

    def load(self, folder: Path) -> None:
        """Read `ravel.npz`."""
        with np.load(folder / MODEL_FILE, allow_pickle=False) as stored:
            self.arrays = dict(stored)

    def _striped(self, scan: Scan) -> np.ndarray:
        if self.parameters.striped:
            return scan.read()
        whitestripe = WhiteStripe(WhiteStripe.Parameters(width=self.parameters.width), self.context)
        return whitestripe.normalize_scan(scan.read(), scan.read_mask(), scan.name)

    def _covariates(self, study: Study) -> np.ndarray:
        """Those that vary as numbers (scans, c)."""
        columns = read_columns(self.parameters.covariates, study, self.id)
        for column in columns:
            column.check_numeric("code its groups as numbers, or leave it out")
        varying = [column.numbers for column in columns if column.numbers and not is_constant(column)]
        return np.array(varying).reshape(len(varying), len(study.scans)).T

    def _control_mask(self, study: Study) -> np.ndarray:
        if self.parameters.control_mask is not None:
            return to_mask(study.scans[0].load(self.parameters.control_mask), self.parameters.control_mask)
        from scipy import ndimage

        csf = np.zeros(study.shape, np.int32)
        brain = np.ones(study.shape, bool)
        sizes = voxel_sizes(study.affine)
        for scan in progress(study.scans, what="ravel: CSF"):
            mask = scan.read_mask()
            csf += self._labels(scan, mask) == CSF
            brain &= mask
        # the edge of the brain is where masks and registration err: most false control voxels lie there
        depth = ndimage.distance_transform_edt(np.pad(brain, 1), sizes)[1:-1, 1:-1, 1:-1]
        brain &= depth > self.parameters.erosion_mm
        return control_mask(csf, brain, len(study.scans), self.parameters.probability)

    def _labels(self, scan: Scan, mask: np.ndarray) -> np.ndarray:
        """The most probable tissue of every voxel (X, Y, Z): given, or found here."""
        if self.context.labels is not None:
            return scan.load(self.context.labels / hard_labels_name(scan.name))
        image = scan.read()
        if abs(float(image[mask].mean(dtype=np.float64)) - 1) > SCALED:
            image = scale_to_mean(image, mask, "brain")
        engine, threads = self.parameters.engine, self.context.threads
        image = image * np.float32(SEGMENTER_SCALE)
        return segment(image, mask, voxel_sizes(scan.affine), engine=engine, threads=threads, name=scan.name).labels
