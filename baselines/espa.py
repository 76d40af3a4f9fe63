"""ESPA: MISPEL trained on simulated matched images, so that nobody has to travel (Torbati et al., MICCAI 2024).

A Gaussian mixture of three components is fitted to every scan. Each scan is then simulated as every other scanner might
have shown it, by components drawn from the ranges in which the two scanners' scans differ, and MISPEL is trained on a
scan and its simulations as on a travelling person. Written from our notes of the paper. The published code draws the
standard deviations from the ranges of the means; here each has its own. That a simulated image is scaled to a mean over
the brain as the target scanner's have is ours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from baselines._simulated_matches import Mixture, draw, moved, ranges_between
from baselines._unpaired import without_names
from core.images import save_image, voxel_sizes
from core.jobs.command import progress
from core.names import SEGMENTER_SCALE
from core.run_folder import image_name
from core.study import Scan, Study
from mispel.method import Mispel
from mispel.parameters import PRESETS
from mispel.parameters import Parameters as MispelParameters


class Espa(Mispel):
    """MISPEL on simulated matched images, without knowing who is the same person."""

    id = "espa"
    label = "ESPA"
    citation = "Torbati et al., MICCAI (2024)"
    trained_on = "matched images that it simulates from the study's scans"
    limits = (
        "It knows of scanners what the components of intensities show: no difference of noise, resolution or place is "
        "simulated. It cannot be applied to another scanner's scans."
    )
    cost = (
        "Of n scanners a pass is n times one of MISPEL's; by preset, for 6 people on 4 scanners at 2 mm and two CPU "
        "cores: demo two minutes."
    )
    needs = frozenset({"gpu"})

    @dataclass(frozen=True)
    class Parameters(MispelParameters):
        """Those of MISPEL, with other presets.

        preset: paper (its weights, rate and passes); laptop or demo (MISPEL's with fewer passes, for a CPU at 2 mm:
        each scan stands for a person, so that a pass sees each slice as often as there are scanners).
        """

        presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
            "paper": {**PRESETS["erratum"], "learning_rate": 1e-4},
            "laptop": {**PRESETS["laptop"], "step1_epochs": 12},
            "demo": {**PRESETS["demo"], "step1_epochs": 1},
        }

    parameters: Parameters

    @property
    def variant(self) -> str:
        """None."""
        return ""

    def not_applicable(self, study: Study) -> str | None:
        """A single scanner."""
        if len(study.scanners) < 2:
            return f"there is one scanner, {study.scanners[0]}, and nothing to bring together"
        return None

    def _fit(self, study: Study, device: Any, ranks: Any) -> None:
        """`fit` as one of several ranks, of which the first simulates."""
        with tempfile.TemporaryDirectory(prefix="espa-") as folder:
            matched = simulated(study, Path(folder), self.context.generator(self.id)) if ranks.first else study
            super()._fit(matched, device, ranks)


def simulated(study: Study, folder: Path, generator: np.random.Generator) -> Study:
    """Every scan with its simulations on the other scanners, as a person of its own; written into `folder`.

    What people are called, who is the same, and the order of scans changes nothing.
    """
    scans = without_names(study).scans
    scanners = list(dict.fromkeys(scan.scanner for scan in scans))
    mixtures = [mixture_of(scan) for scan in progress(scans, what="espa: components")]
    of_scanner = {
        scanner: [mixture for scan, mixture in zip(scans, mixtures, strict=True) if scan.scanner == scanner]
        for scanner in scanners
    }
    matched = []
    for number, (scan, mixture) in enumerate(zip(progress(scans, what="espa: simulate"), mixtures, strict=True)):
        image, mask = scan.read(), scan.read_mask()
        for place, target in enumerate(scanners):
            shown = image.copy()
            if target != scan.scanner:
                ranges = ranges_between(of_scanner[scan.scanner], of_scanner[target])
                shown[mask] = moved(image[mask], mixture, draw(mixture, ranges, generator))
            path = folder / image_name(f"{number:05d}-{place}")
            save_image(path, shown, scan.affine)
            matched.append(Scan(f"{number:05d}", target, path, scan.mask, scale=scan.scale))
    return Study(tuple(matched))


def mixture_of(scan: Scan) -> Mixture:
    """The components of a scan's intensities. Raises `InputError` for a scan that can't be segmented."""
    from segmentation import segment

    image, mask = scan.read(), scan.read_mask()
    found = segment(image * SEGMENTER_SCALE, mask, voxel_sizes(scan.affine), engine="gmm", name=scan.name)
    return Mixture(
        weights=found.posteriors[:, mask].mean(axis=1, dtype=np.float64),
        means=found.means / SEGMENTER_SCALE,
        deviations=np.sqrt(found.variances) / SEGMENTER_SCALE,
        mean=float(image[mask].mean(dtype=np.float64)),
    )
