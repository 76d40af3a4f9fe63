"""mica: each scan's intensities are warped until they are distributed as in the same person's target scan.

Wrobel et al., NeuroImage 223 (2020) 117242. With F the cumulative distribution of a scan's brain voxels
and F* that of the person's scan from the target scanner, an intensity x becomes h(x) = F*^-1(F(x)): the
one increasing map that makes the two distributions equal.

The person's own target scan is needed, which a study that wants harmonizing hasn't got: an oracle. Our
own, since there is only an R package; both distributions are taken on one grid of probabilities, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.interface import Method, Plan
from core.errors import InputError, NotApplicable, nearest
from core.files import read_json, write_json
from core.jobs.command import progress
from core.study import Scan, Study

MODEL_FILE = "targets.npz"
DESCRIPTION_FILE = "target.json"
PROBABILITIES = np.linspace(0, 1, 5001)


def quantile_function(brain: np.ndarray) -> np.ndarray:
    """F^-1 of brain voxels (n,) on the grid of probabilities, from their least to their greatest value."""
    return np.quantile(brain.astype(np.float64), PROBABILITIES)


def warp(brain: np.ndarray, own: np.ndarray, target: np.ndarray) -> np.ndarray:
    """h(x) = F*^-1(F(x)) of brain voxels (n,), linear between the quantiles `own` of F and `target` of F*."""
    values, first, counts = np.unique(own, return_index=True, return_counts=True)
    # where F jumps, many voxels of one intensity, h takes the middle of the jump
    middle = np.interp((PROBABILITIES[first] + PROBABILITIES[first + counts - 1]) / 2, PROBABILITIES, target)
    return np.interp(brain, values, middle)


class Mica(Method):
    """Alignment of every scan's distribution to the person's own on the target scanner."""

    id = "mica"
    label = "mica (oracle)"
    citation = "Wrobel et al., NeuroImage 223 (2020) 117242"
    license = "GPL-2 or later"
    limits = (
        "An oracle: it needs the test person's own target scan. One increasing map a scan: it cannot change noise, "
        "resolution or what differs between places of one intensity."
    )
    needs = frozenset({"paired"})
    unseen_scanners = True
    uses_other_scans = True

    @dataclass(frozen=True)
    class Parameters:
        """target: the scanner that others are aligned to; by default the first that scanned everyone."""

        target: str | None = None

    parameters: Parameters

    def check_plan(self, plan: Plan) -> None:
        """A target that is no scanner of the study."""
        plan.check_scanner(self.parameters.target, "mica.target")

    def not_applicable(self, study: Study) -> str | None:
        """A person without the target scan."""
        if self.parameters.target is None:
            return None if _complete(study) else "no scanner scanned everyone, so that there is no target for all"
        if self.parameters.target not in study.scanners:
            raise InputError(
                f"mica: there is no scanner '{self.parameters.target}'"
                f"{nearest(self.parameters.target, study.scanners)}; set --param target=..."
            )
        return _lacking(study, self.parameters.target)

    def fit(self, study: Study) -> None:
        """Keep each person's distribution on the target scanner."""
        self.target = self.parameters.target or _complete(study)[0]
        self.targets: dict[str, np.ndarray] = {}
        self._keep(study)

    def prepare(self, study: Study) -> None:
        """Keep the target distributions of people who weren't there in `fit`."""
        self._keep(study)
        lacking = [subject for subject in study.subjects if subject not in self.targets]
        if lacking:
            raise NotApplicable(
                f"subject {', '.join(lacking)} has no scan from the target scanner {self.target}: add it to the sheet"
            )

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan with the distribution of the person's target scan; target scans stay as they are."""
        image = scan.read()
        if scan.scanner == self.target:
            return image
        if scan.subject not in self.targets:
            raise InputError(f"mica: {scan.name} needs the same person's scan from {self.target}; add it to the sheet")
        mask = scan.read_mask()
        brain = image[mask]
        image[mask] = warp(brain, quantile_function(brain), self.targets[scan.subject])
        return image

    def save(self, folder: Path) -> None:
        """Write `targets.npz` and `target.json`."""
        np.savez(folder / MODEL_FILE, **self.targets)  # type: ignore[arg-type]  # none is called allow_pickle
        write_json(folder / DESCRIPTION_FILE, {"target": self.target})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        self.target = read_json(folder / DESCRIPTION_FILE)["target"]
        with np.load(folder / MODEL_FILE, allow_pickle=False) as stored:
            self.targets = dict(stored)

    def _keep(self, study: Study) -> None:
        for scan in progress(study.of_scanner(self.target), what=f"mica: scans from {self.target}"):
            self.targets[scan.subject] = quantile_function(scan.read()[scan.read_mask()])


def _complete(study: Study) -> list[str]:
    """The scanners that scanned everyone."""
    return [scanner for scanner in study.scanners if _lacking(study, scanner) is None]


def _lacking(study: Study, target: str) -> str | None:
    people = [subject for subject in study.subjects if study.find(subject, target) is None]
    return f"the target scanner {target} has no scan of subject {', '.join(people)}" if people else None
