"""White Stripe: one affine map a scan, so that normal-appearing white matter has mean 0 and SD 1.

Shinohara et al., NeuroImage: Clinical 6 (2014) 9-19. The stripe is the tenth of the brain's voxels
around the white matter mode of the T1 histogram.

Our own, since the White Stripe of `intensity-normalization` (3.0.1, the newest for Python 3.11) puts
the mode 0.46 to 1.76 stripe SDs away from the R package's on all 12 reference scans, leaves the
background at -48 instead of 0, and drops its `width`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from baselines.interface import Method
from core.errors import InputError
from core.study import Scan

HISTOGRAM_BINS = 2000
SMOOTHING = 1 / 60
"""Standard deviation of the smoothing, as a share of the 99.9th percentile.

A high quantile and not the maximum: one bright vessel would widen it until the white and gray matter
peaks run together.
"""
SMALLEST_PEAK = 0.2
"""A local maximum counts as a mode from this share of the highest on."""


@dataclass(frozen=True)
class Stripe:
    """The white stripe of one image: intensities in the image's own unit."""

    mode: float
    quantile: float
    lower: float
    upper: float
    mean: float
    sd: float
    voxels: int


def last_mode(brain: np.ndarray, *, smoothing: float = SMOOTHING) -> float:
    """The last mode of a T1 image's brain voxels (n,): the white matter peak.

    A fine histogram, smoothed by a Gaussian of `smoothing` x the 99.9th percentile; the rightmost local
    maximum of at least a fifth of the highest. It follows R's `get.last.mode` (a penalized spline on a
    2000-bin histogram) to within 0.3 stripe SDs without being it.
    """
    from scipy import ndimage

    low, high = float(brain.min()), float(np.quantile(brain, 0.999))
    if not low < high:
        raise InputError(f"nearly every voxel of the brain is {low:g}; White Stripe needs a T1 image with contrast")
    counts, _ = np.histogram(brain, bins=HISTOGRAM_BINS, range=(low, high))
    width = (high - low) / HISTOGRAM_BINS
    deviation = smoothing * high / width
    # room on both sides, so that a peak in the first or last bin is a maximum too
    margin = int(4 * deviation) + 1
    smooth = ndimage.gaussian_filter1d(np.pad(counts.astype(np.float64), margin), deviation, mode="constant")
    center = smooth[1:-1]
    peaks = np.flatnonzero((center > smooth[:-2]) & (center >= smooth[2:])) + 1
    peaks = peaks[smooth[peaks] >= SMALLEST_PEAK * smooth.max()]
    if peaks.size == 0:
        raise InputError("the histogram of the brain has no peak; White Stripe needs a T1 image with white matter")
    return float(low + (int(peaks[-1]) - margin + 0.5) * width)


def white_stripe(brain: np.ndarray, *, width: float = 0.05, mode: float | None = None) -> Stripe:
    """The white stripe of a T1 image's brain voxels (n,), n > 0.

    The mode's quantile plus and minus `width` gives the bounds; the stripe holds what lies strictly
    between them, 2 x `width` of the voxels. (Shinohara et al. 2014, section 2.2; R package WhiteStripe.)
    Raises `InputError` where there is no peak or the stripe is empty or constant.
    """
    mode = last_mode(brain) if mode is None else mode
    quantile = float(np.mean(brain < mode))
    lower, upper = np.quantile(brain.astype(np.float64), np.clip([quantile - width, quantile + width], 0, 1))
    inside = brain[(brain > lower) & (brain < upper)].astype(np.float64)
    sd = float(inside.std(ddof=1)) if inside.size > 1 else 0.0
    if not sd > 0:
        raise InputError(
            f"the white stripe between {lower:g} and {upper:g} holds {inside.size} voxels of one intensity; "
            "an image with few gray levels has none: raise --param width"
        )
    return Stripe(mode, quantile, float(lower), float(upper), float(inside.mean()), sd, int(inside.size))


def shift_of_mode(brain: np.ndarray, stripe: Stripe) -> float:
    """How far the mode moves, in stripe SDs, when the smoothing is halved or doubled: large where it is doubtful."""
    modes = [last_mode(brain, smoothing=factor * SMOOTHING) for factor in (0.5, 2.0)]
    return max(abs(mode - stripe.mode) for mode in modes) / stripe.sd


def normalize(image: np.ndarray, mask: np.ndarray, stripe: Stripe) -> np.ndarray:
    """(image - mean of the stripe) / SD of the stripe inside the mask, exactly 0 outside; float32 (X, Y, Z)."""
    return np.where(mask, (image - stripe.mean) / stripe.sd, 0).astype(np.float32)


class WhiteStripe(Method):
    """White Stripe, scan by scan."""

    id = "whitestripe"
    label = "WS"
    citation = "Shinohara et al., NeuroImage: Clinical 6 (2014) 9-19"
    license = "GPL-3"
    limits = "One affine map a scan: it cannot change contrast between tissues, noise or resolution."
    fits_on = "scan"
    unseen_scanners = True
    maps_intensities = True

    @dataclass(frozen=True)
    class Parameters:
        """width: half the share of the brain's voxels that the stripe holds."""

        width: float = 0.05

        def __post_init__(self) -> None:
            if not 0 < self.width <= 0.5:
                raise ValueError(f"width is {self.width:g}; it is a share between 0 and 0.5")

    parameters: Parameters

    def transform(self, scan: Scan) -> np.ndarray:
        """The scan in stripe SDs from the stripe's mean."""
        return self.normalize_scan(scan.read(), scan.read_mask(), scan.name)

    def normalize_scan(self, image: np.ndarray, mask: np.ndarray, name: str) -> np.ndarray:
        """White Stripe of one image, with a warning where the mode isn't stable; `name` is for messages."""
        # R's package takes the voxels above 0 as the brain
        brain = image[mask & (image > 0)]
        if brain.size == 0:
            raise InputError(f"{name}: no voxel of the mask is above 0; White Stripe takes images as they come")
        try:
            stripe = white_stripe(brain, width=self.parameters.width)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        shift = shift_of_mode(brain, stripe)
        if shift > 2:
            warnings.warn(
                f"{name}: the white matter mode moves by {shift:.1f} stripe SDs with the smoothing; look at the image",
                stacklevel=2,
            )
        return normalize(image, mask, stripe)
