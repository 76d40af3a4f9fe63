"""Control: every scan blurred. Scanners come nearer to each other while detail is lost.

It pins measures that a blur pleases; contrast-to-noise, sharpness and overlap with the truth must fall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from baselines.interface import Method
from core.images import voxel_sizes
from core.study import Scan

FWHM_OF_SIGMA = 2 * np.sqrt(2 * np.log(2))


def blurred(image: np.ndarray, mask: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """An image (X, Y, Z) after a Gaussian of `sigma` (3,) voxels over the mask's voxels alone; float32, 0 outside.

    The kernel's weights outside the mask are left out, else the brain's edge would darken.
    """
    from scipy import ndimage

    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(mask, image, 0).astype(np.float32), sigma, mode="constant")
    return np.where(mask, total / np.where(mask, weight, 1), 0).astype(np.float32)


class Blur(Method):
    """A Gaussian blur inside the mask."""

    id = "blur"
    label = "Blur (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: it removes detail and noise and knows nothing of scanners."
    fits_on = "scan"
    unseen_scanners = True

    @dataclass(frozen=True)
    class Parameters:
        """fwhm_mm: full width at half maximum."""

        fwhm_mm: float = 6.0

        def __post_init__(self) -> None:
            if not 0 < self.fwhm_mm <= 100:
                raise ValueError(f"fwhm_mm is {self.fwhm_mm:g}; it is above 0, at most 100")

    parameters: Parameters

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan, blurred."""
        sigma = self.parameters.fwhm_mm / FWHM_OF_SIGMA / voxel_sizes(scan.affine)
        return blurred(scan.read(), scan.read_mask(), sigma)
