"""Control: RAW blurred until it is as smooth as another arm's images, and nothing else.

Smoothing takes noise and detail away, which differ between any two scans, so whatever smooths brings scans
nearer to each other. What an arm gains beyond the blur that matches its own roughness, it doesn't gain by
smoothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.blur import FWHM_OF_SIGMA, blurred
from baselines.interface import Method
from core.files import read_json, write_json
from core.images import voxel_sizes
from core.roughness import detail
from core.run_folder import image_name
from core.study import Scan, Study

MODEL_FILE = "blur.json"
MOST_SCANS = 8
"""Scans that the blur is matched on, as many of each scanner: each is blurred at every step of the search."""

WIDEST_MM = 12.0
STEPS = 10
"""Halvings of the interval in which the width lies; the last one is a hundredth of a millimeter."""

PERCENTS = (0.5, 99.5)


class MatchedBlur(Method):
    """A Gaussian blur inside the mask, as wide as makes RAW as smooth as an arm's images."""

    id = "matched_blur"
    label = "Matched blur (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: it removes detail and noise and knows nothing of scanners."
    unseen_scanners = True

    @dataclass(frozen=True)
    class Parameters:
        """images: the folder of an arm's images of the scans, which are to be matched."""

        images: str = ""

    parameters: Parameters

    def not_applicable(self, study: Study) -> str | None:
        """An arm without images."""
        return None if self._matched(study) else f"there is no image in {self.parameters.images or 'no folder'}"

    def fit(self, study: Study) -> None:
        """Find the width of the blur."""
        scans = self._matched(study)
        own = relative_roughness((scan.load(self._image(scan)), scan.read_mask()) for scan in scans)
        sizes = voxel_sizes(scans[0].affine)
        raw = [(scan.read(), scan.read_mask()) for scan in scans]

        def at_width(fwhm_mm: float) -> float:
            sigma = fwhm_mm / FWHM_OF_SIGMA / sizes
            return relative_roughness((blurred(image, mask, sigma) if fwhm_mm else image, mask) for image, mask in raw)

        self.fwhm_mm = matching_width(at_width, own)
        self.roughness = {"arm": own, "raw": at_width(0.0), "blurred": at_width(self.fwhm_mm)}

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan, blurred; as it is where the arm isn't smoother than RAW."""
        image = scan.read()
        if not self.fwhm_mm:
            return image
        return blurred(image, scan.read_mask(), self.fwhm_mm / FWHM_OF_SIGMA / voxel_sizes(scan.affine))

    def save(self, folder: Path) -> None:
        """Write `blur.json`: the width, and the roughness of the arm, of RAW, and of RAW blurred."""
        write_json(folder / MODEL_FILE, {"fwhm_mm": self.fwhm_mm, "roughness": self.roughness})

    def load(self, folder: Path) -> None:
        """Read `blur.json`."""
        self.fwhm_mm = float(read_json(folder / MODEL_FILE)["fwhm_mm"])

    def _image(self, scan: Scan) -> Path:
        return Path(self.parameters.images) / image_name(scan.name)

    def _matched(self, study: Study) -> list[Scan]:
        of_scanner = [
            [scan for scan in study.of_scanner(name) if self._image(scan).is_file()] for name in study.scanners
        ]
        most = max(1, MOST_SCANS // max(1, len(of_scanner)))
        chosen = []
        for number, there in enumerate(of_scanner):
            places = np.linspace(0, len(there) - 1, min(most, len(there))).round().astype(int)
            # other people of each scanner, as far as there are others
            chosen += [there[(place + number) % len(there)] for place in places]
        return chosen


def relative_roughness(images: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean detail of images (X, Y, Z), with their masks, each over the range of its own brain's intensities.

    The range is from the 0.5th to the 99.5th percentile, so that no affine map of a scan matters: an arm that aligns
    the scans' intensities and blurs them is as smooth as one that only blurs.
    """
    found = []
    for image, mask in images:
        low, high = np.percentile(image[mask], PERCENTS)
        found.append(detail(image, mask) / float(high - low))
    return float(np.mean(found))


def matching_width(roughness_at: Callable[[float], float], wanted: float) -> float:
    """The width (mm) at which a falling function of it comes nearest `wanted`; 0 where it is lower at once.

    Bisection over 0 to `WIDEST_MM`: the function is dear, and falls, so that nothing more is needed.
    """
    if roughness_at(0.0) <= wanted:
        return 0.0
    low, high = 0.0, WIDEST_MM
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if roughness_at(middle) > wanted else (low, middle)
    return (low + high) / 2
