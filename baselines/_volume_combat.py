"""ComBat's model of volumes: fitted on a study, kept in a file, applied to a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines._covariates import Coding, check_told_apart, read_columns, time_columns
from baselines.combat import adjust, locate, shrink, why_not
from baselines.interface import Plan, VolumeMethod
from core.errors import InputError
from core.files import read_json, write_json
from core.study import Scan, Study

ARRAYS_FILE = "combat.npz"
COLUMNS_FILE = "covariates.json"


def scanner_numbers(study: Study) -> np.ndarray:
    """Each scan's scanner (n,) as a number."""
    return np.array([study.scanners.index(scan.scanner) for scan in study.scans])


def coded(study: Study, names: str, method: str) -> tuple[Coding, np.ndarray]:
    """The coding of covariates, comma separated, and those of the study's scans (n, c).

    Raises `InputError` for covariates that can't be used.
    """
    coding = Coding.of(read_columns(names, study, method))
    covariates = coding.of_scans(study.scans)
    check_told_apart(np.eye(len(study.scanners))[scanner_numbers(study)], covariates, coding, method)
    return coding, covariates


@dataclass(frozen=True)
class FittedVolumes:
    """A fitted model: mean, deviation, usable (v,), slopes (c, v), and by scanner shift and scale (m, v).

    One that knows of time has by_group (c,) and over_time (1 + g, v), a year's changes (`coded_times`).
    """

    scanners: Sequence[str]
    coding: Coding
    arrays: Mapping[str, np.ndarray]

    def expected(self, scan: Scan) -> np.ndarray:
        """What the model expects of a scan's volumes (v,) beside its scanner's effects."""
        covariates = self.coding.code(scan)
        expected = self.arrays["mean"] + covariates @ self.arrays["slopes"]
        if "over_time" not in self.arrays:
            return expected
        (times,) = time_columns(np.array([scan.time]), covariates[None], self.arrays["by_group"])
        return expected + times @ self.arrays["over_time"]

    def number_of(self, scan: Scan) -> int:
        """The row of the arrays that is about the scan's scanner."""
        return list(self.scanners).index(scan.scanner)

    def adjusted(self, scan: Scan, volumes: np.ndarray, own: np.ndarray | float = 0.0) -> np.ndarray:
        """The volumes (v,) without the scanner's shift and scale; those that couldn't be fitted stay.

        `own` (v,) is what the person's volumes are expected to be beyond what the model expects of anyone's.
        """
        number = self.number_of(scan)
        expected = self.expected(scan) + own
        deviation = self.arrays["deviation"]
        found = adjust(volumes, self.arrays["shift"][number], self.arrays["scale"][number], expected, deviation)
        return np.where(self.arrays["usable"], found, volumes)

    def save(self, folder: Path) -> None:
        """Write the arrays, and what the scanners and covariates are."""
        np.savez(folder / ARRAYS_FILE, **self.arrays)  # type: ignore[arg-type]  # none is called allow_pickle
        write_json(folder / COLUMNS_FILE, {"scanners": list(self.scanners), "columns": list(self.coding.columns)})

    @classmethod
    def load(cls, folder: Path) -> FittedVolumes:
        """Read what `save` wrote."""
        with np.load(folder / ARRAYS_FILE, allow_pickle=False) as stored:
            arrays = dict(stored)
        described = read_json(folder / COLUMNS_FILE)
        return cls(described["scanners"], Coding(tuple(described["columns"])), arrays)


class VolumeCombat(VolumeMethod):
    """What ComBat and its kin share; their parameters have `covariates`, columns of the sheet, comma separated."""

    fitted: FittedVolumes

    @property
    def least_scans(self) -> int:
        """Two, since a scale takes two scans."""
        return 2

    def check_plan(self, plan: Plan) -> None:
        """A covariate that no scan has."""
        plan.check_covariates(self.parameters.covariates, f"{self.id}.covariates")

    def not_applicable(self, study: Study) -> str | None:
        """A single scanner, or one whose scale has too few scans."""
        return why_not(study, self.least_scans)

    def save(self, folder: Path) -> None:
        """Write the model."""
        self.fitted.save(folder)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        self.fitted = FittedVolumes.load(folder)


def fit_volumes(
    study: Study, volumes: np.ndarray, covariates: str, method: str, *, empirical_bayes: bool
) -> FittedVolumes:
    """Fit ComBat to volumes (n, v) of the study's scans; with empirical Bayes the priors are over the volumes.

    Raises `InputError` for covariates that can't be used, and where no volume can be fitted.
    """
    coding, columns = coded(study, covariates, method)
    found = locate(volumes, scanner_numbers(study), columns)
    if not found.usable.any():
        raise InputError(f"{method}: every volume is the same in all scans of a scanner; give each scan its own image")
    shift, scale = found.shift, found.scale
    if empirical_bayes:
        shift, scale = shrunk(shift, scale, found.counts, found.usable)
    arrays = {
        "mean": found.mean,
        "slopes": found.slopes,
        "deviation": found.deviation,
        "shift": shift,
        "scale": scale,
        "usable": found.usable,
    }
    return FittedVolumes(study.scanners, coding, arrays)


def shrunk(
    shift: np.ndarray, scale: np.ndarray, counts: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each scanner's shifts and scales (m, v) by empirical Bayes over the usable volumes, see `shrink`."""
    new_shift, new_scale = shift.copy(), scale.copy()
    for number in range(len(shift)):
        new_shift[number, usable], new_scale[number, usable] = shrink(
            shift[number, usable], scale[number, usable], counts[number, usable]
        )
    return new_shift, new_scale
