"""ComBat: each scanner's shift and scale at each voxel, shrunk towards the scanner's own over all voxels.

Johnson et al., Biostatistics 8 (2007) 118-127; Fortin et al., NeuroImage 161 (2017) 149-170. The model
of voxel v in scan j of scanner i is  y = alpha_v + x_j beta_v + gamma_iv + delta_iv e,  with normal and
inverse gamma priors of gamma and delta over the scanner's voxels.

Our own: neuroHarmonize (2.5.2) wants numpy < 2, combatlearn (2.3.0) brings plotly and umap-learn, and
these, neuroCombat (0.2.12) and combaters (0.1.0) want all voxels of all scans in memory and every voxel in
every scan; neuroCombat cannot harmonize a new scan by its own covariates either. Numbers agree with
neuroCombat's. Here voxels are taken in chunks from a file, and each is fitted on the scans whose mask
holds it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines._covariates import TOLD_APART, Coding, check_told_apart, read_columns
from baselines.interface import Method, Plan
from core.errors import InputError
from core.files import read_json, write_json
from core.jobs.command import progress
from core.study import Scan, Study

MODEL_FILE = "combat.npz"
COVARIATES_FILE = "covariates.json"
CHUNK_BYTES = 32e6
"""Of a chunk of voxels x scans in float64; a handful of arrays of that size are held at once."""
CONVERGED = 1e-6
"""Relative change of every voxel's shift and scale at which the empirical Bayes iteration ends."""
MOST_ITERATIONS = 1000


@dataclass(frozen=True)
class Location:
    """Least squares at voxels (v): what all scanners share, and what is each scanner's own.

    mean: (v,), the grand mean alpha. slopes: (c, v), of the covariates. deviation: (v,), pooled SD.
    shift: (m, v), gamma hat, in pooled SDs. scale: (m, v), delta hat squared, a variance ratio.
    counts: (m, v), scans behind each. usable: (v,), whether the model can be fitted there; the rest is 0.
    """

    mean: np.ndarray
    slopes: np.ndarray
    deviation: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    counts: np.ndarray
    usable: np.ndarray


def locate(values: np.ndarray, scanners: np.ndarray, covariates: np.ndarray, *, mean_only: bool = False) -> Location:
    """Fit the model without its priors (Fortin et al. 2017, section 2.4) by least squares at each voxel.

    Parameters
    ----------
    values : (n, v), float64; NaN where the scan's mask does not hold the voxel.
    scanners : (n,), each scan's scanner as 0..m-1.
    covariates : (n, c), centered.
    mean_only : scanners differ in shift alone; one scan a scanner is then enough, else it takes two.
    """
    covered = np.isfinite(values)
    known = np.where(covered, values, 0.0)
    indicator = np.eye(int(scanners.max()) + 1)[scanners]
    design = np.hstack([indicator, covariates])
    columns, groups = design.shape[1], indicator.shape[1]

    counts = indicator.T @ covered
    scans = counts.sum(axis=0)
    squares = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    normal = (covered.T.astype(np.float64) @ squares).reshape(-1, columns, columns)
    eigenvalues = np.linalg.eigvalsh(normal)
    usable = (counts >= (1 if mean_only else 2)).all(axis=0) & (eigenvalues[:, 0] > TOLD_APART * eigenvalues[:, -1])
    normal[~usable] = np.eye(columns)
    coefficients = np.linalg.solve(normal, (known.T @ design)[:, :, None])[:, :, 0].T
    residuals = np.where(covered, values - design @ coefficients, 0.0)

    mean = (counts * coefficients[:groups]).sum(axis=0) / np.maximum(scans, 1)
    by_scanner = indicator.T @ residuals**2
    variance = by_scanner.sum(axis=0) / np.maximum(scans, 1)
    # a voxel that is the same in all scans has rounding errors for a variance
    usable &= variance > 1e-12 * np.maximum(mean**2, np.finfo(float).tiny)
    variance = np.where(usable, variance, 1.0)
    shift = (coefficients[:groups] - mean) / np.sqrt(variance)
    scale = np.ones_like(shift)
    if not mean_only:
        scale = by_scanner / np.maximum(counts - 1, 1) / variance
        usable &= (scale > 0).all(axis=0)
    return Location(
        mean=np.where(usable, mean, 0.0),
        slopes=np.where(usable, coefficients[groups:], 0.0),
        deviation=np.sqrt(variance),
        shift=np.where(usable, shift, 0.0),
        scale=np.where(usable, scale, 1.0),
        counts=counts,
        usable=usable,
    )


def shrink(
    shift: np.ndarray, scale: np.ndarray, counts: np.ndarray, *, mean_only: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """One scanner's posterior shift and scale (v,) by parametric empirical Bayes.

    From its `shift`, `scale` and `counts` (v,) over all usable voxels, by Johnson et al. 2007, section
    3.2: the priors by moments, then the two conditional posterior means in turn until they agree.
    Raises `InputError` where there are too few voxels to estimate the priors.
    """
    if shift.size < 3:
        raise InputError(
            f"combat: {shift.size} voxels can be fitted; empirical Bayes needs at least 3: check the masks"
        )
    prior_shift, prior_variance = shift.mean(), shift.var(ddof=1)
    if mean_only:
        # as in neuroCombat: one observation of variance 1, however many scans there are
        return (prior_variance * shift + prior_shift) / (prior_variance + 1), np.ones_like(scale)
    mean, variance = scale.mean(), scale.var(ddof=1)
    shape = (2 * variance + mean**2) / variance
    rate = (mean * variance + mean**3) / variance
    # the sum of squares around any g follows from mean and variance
    inner = (counts - 1) * scale
    new_shift, new_scale = shift, scale
    for _ in range(MOST_ITERATIONS):
        old_shift, old_scale = new_shift, new_scale
        new_shift = (counts * prior_variance * shift + old_scale * prior_shift) / (counts * prior_variance + old_scale)
        new_scale = (0.5 * (inner + counts * (shift - new_shift) ** 2) + rate) / (counts / 2 + shape - 1)
        moved = np.abs(new_shift - old_shift) / np.sqrt(prior_variance)
        if max(moved.max(), (np.abs(new_scale - old_scale) / old_scale).max()) < CONVERGED:
            break
    return new_shift, new_scale


def adjust(
    voxels: np.ndarray,
    shift: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    deviation: np.ndarray,
) -> np.ndarray:
    """Voxels (v,) without their scanner's shift and scale (v,); `mean` is the model's alpha + x beta."""
    standard = (voxels - mean) / deviation
    return (standard - shift) / np.sqrt(scale) * deviation + mean


def why_not(study: Study, least: int, remedy: str = "") -> str | None:
    """Why scanners' shifts and scales can't be fitted on a study, or None; a scale takes two scans."""
    if len(study.scanners) < 2:
        return f"there is one scanner, {study.scanners[0]}, and nothing to bring together"
    for scanner in study.scanners:
        if len(study.of_scanner(scanner)) < least:
            return f"scanner {scanner} has a single scan, which shows no variance{remedy}"
    return None


class ComBat(Method):
    """Parametric empirical Bayes ComBat, voxel by voxel; scans of people not fitted on use what was stored."""

    id = "combat"
    label = "ComBat"
    citation = "Johnson et al., Biostatistics 8 (2007) 118-127; Fortin et al., NeuroImage 161 (2017) 149-170"
    license = "Artistic-2.0"
    limits = (
        "Each voxel by itself and linearly: it cannot change noise or resolution, makes no use of who was scanned "
        "twice, and leaves voxels as they are where a scanner has fewer than two brains."
    )
    by_voxel = True

    @dataclass(frozen=True)
    class Parameters:
        """covariates: columns of the sheet, comma separated, whose effect is kept; numbers, or groups.

        empirical_bayes: shrink each scanner's shifts and scales towards their mean over voxels.
        mean_only: remove shifts alone, for scanners with a single scan.
        """

        covariates: str = ""
        empirical_bayes: bool = True
        mean_only: bool = False

    parameters: Parameters

    def check_plan(self, plan: Plan) -> None:
        """A covariate that no scan has."""
        plan.check_covariates(self.parameters.covariates, "combat.covariates")

    @property
    def least_scans(self) -> int:
        """How many scans of a scanner a voxel's fit takes."""
        return 1 if self.parameters.mean_only else 2

    def not_applicable(self, study: Study) -> str | None:
        """A single scanner, or one whose scale has too few scans."""
        return why_not(study, self.least_scans, "; set mean_only=true")

    def fit(self, study: Study) -> None:
        """Estimate every voxel's model, then the scanners' shifts and scales."""
        self.coding = Coding.of(read_columns(self.parameters.covariates, study, self.id))
        covariates = self.coding.of_scans(study.scans)
        scanners = np.array([study.scanners.index(scan.scanner) for scan in study.scans])
        check_told_apart(np.eye(len(study.scanners))[scanners], covariates, self.coding, self.id)
        brain = np.zeros(study.shape, bool)
        for scan in study.scans:
            brain |= scan.read_mask()
        with tempfile.TemporaryDirectory(prefix="combat-") as folder:
            values, alike = _store(study, brain, Path(folder))
            step = max(1, int(CHUNK_BYTES / 8 / len(study.scans)))
            parts = [
                locate(
                    values[:, start : start + step].astype(np.float64),
                    scanners,
                    covariates,
                    mean_only=self.parameters.mean_only,
                )
                for start in progress(range(0, values.shape[1], step), what="combat: voxels")
            ]
            del values
        usable = np.concatenate([part.usable for part in parts])
        if not usable.any():
            counts = np.concatenate([part.counts for part in parts], axis=1)
            raise InputError(f"combat: {why_nothing(study.scanners, counts, self.least_scans, alike)}")
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts], axis=-1)[..., usable]
            for name in ("mean", "slopes", "deviation", "shift", "scale", "counts")
        }
        if self.parameters.empirical_bayes:
            for number in range(len(study.scanners)):
                joined["shift"][number], joined["scale"][number] = shrink(
                    joined["shift"][number],
                    joined["scale"][number],
                    joined["counts"][number],
                    mean_only=self.parameters.mean_only,
                )
        del joined["counts"]
        self.scanners = study.scanners
        self.arrays = {name: array.astype(np.float32) for name, array in joined.items()}
        self.arrays["voxels"] = np.flatnonzero(brain)[usable]

    def prepare(self, study: Study) -> None:
        """Refuse a covariate that isn't like those fitted."""
        for scan in study.scans:
            self.coding.code(scan)

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan without its scanner's shift and scale, at the voxels of its mask that were fitted."""
        number = self.scanners.index(scan.scanner)
        image = scan.read().ravel()
        inside = scan.read_mask().ravel()[self.arrays["voxels"]]
        where = self.arrays["voxels"][inside]
        covariates = self.coding.code(scan)
        mean = self.arrays["mean"][inside] + covariates @ self.arrays["slopes"][:, inside]
        image[where] = adjust(
            image[where].astype(np.float64),
            self.arrays["shift"][number, inside],
            self.arrays["scale"][number, inside],
            mean,
            self.arrays["deviation"][inside],
        )
        return image.reshape(scan.shape)

    def save(self, folder: Path) -> None:
        """Write `combat.npz` and `covariates.json`."""
        np.savez(folder / MODEL_FILE, **self.arrays)  # type: ignore[arg-type]  # none is called allow_pickle
        write_json(folder / COVARIATES_FILE, {"scanners": self.scanners, "columns": list(self.coding.columns)})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        with np.load(folder / MODEL_FILE, allow_pickle=False) as stored:
            self.arrays = dict(stored)
        described = read_json(folder / COVARIATES_FILE)
        self.scanners = described["scanners"]
        self.coding = Coding(tuple(described["columns"]))


def why_nothing(scanners: Sequence[str], counts: np.ndarray, least: int, alike: Sequence[Sequence[str]]) -> str:
    """Why no voxel can be fitted, and what to change.

    From how many scans of each scanner hold a voxel (m, v), how many it takes, and the names of scans that are the
    same at every voxel.
    """
    if not (counts >= least).all(axis=0).any():
        most = zip(scanners, counts.max(axis=1), strict=True)
        reached = ", ".join(f"{scanner} at most {count}" for scanner, count in most)
        return (
            f"no voxel lies in {least} brains of every scanner ({reached}); check that the scans share a grid, and "
            "their masks"
        )
    if alike:
        names = alike[0]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return (
            f"{', '.join(names[:4])}{more} are the same at every voxel, which leaves a scanner no variance; give each "
            "scan its own image"
        )
    return "nothing is left of any voxel beside scanners and covariates; leave a covariate out, or add scans"


def _store(study: Study, brain: np.ndarray, folder: Path) -> tuple[np.ndarray, list[list[str]]]:
    """The brain's voxels of every scan (n, v), float32 on disk, and the names of those that are the same.

    NaN where the scan's own mask doesn't hold a voxel.
    """
    path = folder / "voxels.float32"
    named: dict[bytes, list[str]] = {}
    with open(path, "wb") as file:
        for scan in progress(study.scans, what="combat: read"):
            voxels = np.where(scan.read_mask(), scan.read(), np.float32(np.nan))[brain]
            voxels.tofile(file)
            named.setdefault(hashlib.sha256(voxels).digest(), []).append(scan.name)
    alike = [names for names in named.values() if len(names) > 1]
    return np.memmap(path, np.float32, "r", shape=(len(study.scans), int(brain.sum()))), alike
