"""A scan: contrast, point spread, intensity field, noise, residual misregistration.

In this order: signal of every compartment under the scanner's transmit field; divided by white
matter's own response to that field, which bias correction would remove; tone; point spread; what
bias correction left over; Rician noise of the study's voxels, as an average of voxels of 1 mm has it
(`physics.factors`); residual misregistration and the scanner's own distortion, resampled linearly as
registered scans are, which averages some of the noise away. What is calibrated to what: `physics.yaml`.
A T2-weighted image of the same visit goes the same way and is laid where the T1-weighted one lies, but for a shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from core.names import FIRST_SESSION
from core.random_numbers import generator
from studies.simulation.anatomy import Anatomy
from studies.simulation.grid import COARSE
from studies.simulation.physics import CALIBRATED, Scanner, Tissue, factors
from studies.simulation.random_fields import enlarge, random_field
from studies.simulation.signal import signal, t2w_signal

VESSELS_TO_GM = 0.75
"""Signal of vessels and meninges in the sulci, of cortical GM's."""

FIXED_BIAS, SCAN_BIAS = 0.6, 0.8
"""Parts of the intensity field: the scanner's own, the scan's own."""

BIAS_MM = 35.0
TRANSMIT_MM = 30.0
SHIFT_MM = 0.12
"""SD along each axis."""

FIXED_WARP, WIDE_WARP, NARROW_WARP = (0.45, 20.0), (0.65, 12.0), (0.60, 7.0)
"""Parts of the misregistration and their scales in mm: the scanner's own, two of the scan's own."""

NOISE_SPREAD, WARP_SPREAD = 0.12, 0.25
"""SD of the logarithm of a scan's noise and misregistration, over scans."""

DISTORTION_MM = 30.0
"""Scale of what is left of a scanner's geometric distortion."""

_FWHM = 2 * math.sqrt(2 * math.log(2))


def true_image(
    anatomy: Anatomy, scanner: Scanner, tissues: dict[str, Tissue], *, point_spread: bool = True
) -> np.ndarray:
    """What the scanner would show without noise, fields and misregistration, float32 (X, Y, Z), WM about 1."""
    image = anatomy.dense(contrast_image(anatomy, scanner, tissues))
    return blur(image, anatomy, scanner.resolution_mm) if point_spread else image


def acquire(
    anatomy: Anatomy,
    scanner: Scanner,
    tissues: dict[str, Tissue],
    *,
    seed: int,
    subject: str,
    session: str = FIRST_SESSION,
    variant: str = CALIBRATED,
) -> np.ndarray:
    """One scan of the subject, float32 (X, Y, Z), WM about 1, 0 outside the brain.

    What is random depends on seed, subject, the scanner's name and the session's, so that another
    session is a rescan; the parts of fields that belong to the scanner on seed and name alone.
    """
    return _acquire(anatomy, scanner, tissues, seed, subject, session, variant)[0]


def acquire_both(
    anatomy: Anatomy,
    scanner: Scanner,
    tissues: dict[str, Tissue],
    *,
    seed: int,
    subject: str,
    session: str = FIRST_SESSION,
    variant: str = CALIBRATED,
) -> tuple[np.ndarray, np.ndarray]:
    """The scan that `acquire` gives, to the byte, and the T2-weighted image of the same visit.

    The latter has a noise and a field of its own, and what is left of its registration to the former is a shift.
    """
    image, displacement = _acquire(anatomy, scanner, tissues, seed, subject, session, variant)
    own = generator(seed, "T2w scan", subject, scanner.name, session)
    fixed = generator(seed, "scanner", scanner.name)
    clean = anatomy.dense(t2w_contrast_image(anatomy, scanner, tissues))
    t2 = _received(clean, own, fixed, anatomy, scanner, variant)
    shift = own.normal(0, SHIFT_MM, (3, 1, 1, 1)).astype(np.float32)
    return image, warp(t2, anatomy, displacement + shift)


def _acquire(
    anatomy: Anatomy,
    scanner: Scanner,
    tissues: dict[str, Tissue],
    seed: int,
    subject: str,
    session: str,
    variant: str,
) -> tuple[np.ndarray, np.ndarray]:
    """A scan (X, Y, Z), and the displacement in mm that it lies under (3, A, B, C)."""
    # the first session's draws are those of a study without rescans
    own = generator(seed, "scan", subject, scanner.name, *([] if session == FIRST_SESSION else [session]))
    fixed = generator(seed, "scanner", scanner.name)
    b1 = transmit_field(own, anatomy, scanner.transmit)
    clean = anatomy.dense(contrast_image(anatomy, scanner, tissues, b1[anatomy.mask]))
    image = _received(clean, own, fixed, anatomy, scanner, variant)
    size_mm = scanner.misregistration_mm * factors(variant, round(anatomy.voxel_size_mm))["misregistration"]
    displacement = misregistration(own, fixed, anatomy, size_mm)
    displacement += distortion(fixed, anatomy, scanner.distortion_mm)
    return warp(image, anatomy, displacement), displacement


def _received(
    image: np.ndarray,
    own: np.random.Generator,
    fixed: np.random.Generator,
    anatomy: Anatomy,
    scanner: Scanner,
    variant: str,
) -> np.ndarray:
    """A contrast image (X, Y, Z) with the scanner's point spread, what bias correction left over, and noise."""
    image = extend(blur(image, anatomy, scanner.resolution_mm), anatomy.mask)
    left_over = FIXED_BIAS * _smooth(fixed, anatomy, BIAS_MM) + SCAN_BIAS * _smooth(own, anatomy, BIAS_MM)
    image *= np.exp(np.float32(scanner.bias) * enlarge(left_over, _step(anatomy)))
    by_voxel_size = factors(variant, round(anatomy.voxel_size_mm))["noise"]
    return add_rician_noise(own, image, scanner.noise * by_voxel_size * math.exp(own.normal(0, NOISE_SPREAD)))


def contrast_image(
    anatomy: Anatomy, scanner: Scanner, tissues: dict[str, Tissue], b1: np.ndarray | float = 1.0
) -> np.ndarray:
    """The fraction-weighted signal of the brain's voxels over white matter's, with the tone, float32 (n,).

    `b1` is the transmit field (n,) there, or one number.
    """
    b1 = np.asarray(b1, dtype=np.float32)

    def tissue_signal(tissue: Tissue, there: np.ndarray, relative: np.ndarray | np.float32) -> np.ndarray:
        return signal(tissue, scanner, b1[there] if b1.ndim else b1, relative)

    return _weighted(anatomy, scanner, tissues, tissue_signal, signal(tissues["wm"], scanner, b1))


def t2w_contrast_image(anatomy: Anatomy, scanner: Scanner, tissues: dict[str, Tissue]) -> np.ndarray:
    """As `contrast_image`, of the scanner's T2-weighted image."""

    def tissue_signal(tissue: Tissue, there: np.ndarray, relative: np.ndarray | np.float32) -> np.ndarray:
        return t2w_signal(tissue, scanner, relative)

    return _weighted(anatomy, scanner, tissues, tissue_signal, t2w_signal(tissues["wm"], scanner))


def _weighted(
    anatomy: Anatomy,
    scanner: Scanner,
    tissues: dict[str, Tissue],
    tissue_signal: Callable[[Tissue, np.ndarray, np.ndarray | np.float32], np.ndarray],
    of_white_matter: np.ndarray,
) -> np.ndarray:
    """Signals of tissues, where they are and by their T1 over the tissue's, weighted, over white matter's (n,)."""
    t1 = {"cortical_gm": anatomy.gm_t1, "deep_gm": anatomy.gm_t1, "pallidum": anatomy.gm_t1}
    t1 |= {"wm": anatomy.wm_t1, "wm_hyperintensity": anatomy.wm_t1}
    total = np.zeros(anatomy.gm_t1.size, dtype=np.float32)
    for name, part in anatomy.compartments.items():
        there = part > 1e-4
        factor = VESSELS_TO_GM if name == "vessels" else 1.0
        tissue = tissues["cortical_gm" if name == "vessels" else name]
        relative = t1[name][there] if name in t1 else np.float32(1)
        total[there] += np.float32(factor) * part[there] * tissue_signal(tissue, there, relative)
    total /= of_white_matter
    return total ** np.float32(scanner.tone)


def transmit_field(random: np.random.Generator, anatomy: Anatomy, size: float) -> np.ndarray:
    """The factor on the flip angle: high in the middle, as at 3 T, and a smooth deviation; (X, Y, Z)."""
    coarse = _smooth(random, anatomy, TRANSMIT_MM) * np.float32(0.5)
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in coarse.shape]
    radius2 = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    return 1 + np.float32(size) * enlarge(np.float32(1.2) * (np.float32(0.35) - radius2) + coarse, _step(anatomy))


def blur(image: np.ndarray, anatomy: Anatomy, resolution_mm: tuple[float, float, float]) -> np.ndarray:
    """Point spread within the brain: what lies outside counts as more of what is near inside.

    `resolution_mm` is the Gaussian's FWHM along each axis. Voxels hold averages over themselves, so
    the kernel is the Gaussian averaged over a voxel on either side; at 2 mm it still blurs.
    """
    weight = anatomy.mask.astype(np.float32)
    for axis, width in enumerate(resolution_mm):
        kernel = voxel_kernel(width / _FWHM / anatomy.voxel_size_mm)
        image = ndimage.correlate1d(image, kernel, axis=axis, mode="constant")
        weight = ndimage.correlate1d(weight, kernel, axis=axis, mode="constant")
    return np.divide(image, weight, out=np.zeros_like(image), where=anatomy.mask)


def voxel_kernel(sd: float) -> np.ndarray:
    """How a Gaussian of this SD (voxels) carries a voxel's average to its neighbors; sums to 1."""
    reach = max(1, math.ceil(4 * sd))
    edges = np.arange(-reach - 1, reach + 2, dtype=np.float64)
    scaled = edges / sd
    second = edges * ndtr(scaled) + sd * np.exp(-(scaled**2) / 2) / math.sqrt(2 * math.pi)
    kernel = second[2:] - 2 * second[1:-1] + second[:-2]
    return kernel / kernel.sum()


def extend(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image continued by a few voxels beyond the brain, so that a warp finds tissue there."""
    weight = ndimage.gaussian_filter(mask.astype(np.float32), 2, mode="constant")
    beyond = ndimage.gaussian_filter(np.where(mask, image, np.float32(0)), 2, mode="constant")
    return np.where(mask, image, beyond / np.maximum(weight, np.float32(1e-3)))


def add_rician_noise(random: np.random.Generator, image: np.ndarray, sd: float) -> np.ndarray:
    """Magnitude of the image with normal noise of this SD in both channels."""
    real = image + np.float32(sd) * random.standard_normal(image.shape, dtype=np.float32)
    imaginary = np.float32(sd) * random.standard_normal(image.shape, dtype=np.float32)
    return np.hypot(real, imaginary)


def misregistration(
    random: np.random.Generator, fixed: np.random.Generator, anatomy: Anatomy, size_mm: float
) -> np.ndarray:
    """Displacement in mm on the coarse grid, (3, A, B, C), that registration left over.

    `size_mm` is the root mean square of its length over the brain, without the shift; scans vary about it.
    """
    size = size_mm * math.exp(random.normal(0, WARP_SPREAD))
    parts = []
    for _ in range(3):
        part = FIXED_WARP[0] * _smooth(fixed, anatomy, FIXED_WARP[1])
        for share, scale in (WIDE_WARP, NARROW_WARP):
            part += share * _smooth(random, anatomy, scale)
        parts.append(part)
    displacement = np.stack(parts)
    brain = anatomy.mask[(slice(_step(anatomy) // 2, None, _step(anatomy)),) * 3]
    displacement *= size / math.sqrt((displacement[:, brain] ** 2).sum(axis=0).mean())
    return displacement + random.normal(0, SHIFT_MM, (3, 1, 1, 1)).astype(np.float32)


def distortion(fixed: np.random.Generator, anatomy: Anatomy, size_mm: float) -> np.ndarray:
    """Displacement in mm on the coarse grid, (3, A, B, C), of a scanner's gradients: the same in every scan.

    `size_mm` is the root mean square of its length over the grid.
    """
    displacement = np.stack([_smooth(fixed, anatomy, DISTORTION_MM) for _ in range(3)])
    return displacement * np.float32(size_mm / math.sqrt((displacement**2).sum(axis=0).mean()))


def warp(image: np.ndarray, anatomy: Anatomy, displacement: np.ndarray) -> np.ndarray:
    """The image pulled along a displacement in mm (coarse grid), linearly resampled, 0 outside the brain."""
    step = _step(anatomy)
    place = np.stack(np.nonzero(anatomy.mask)).astype(np.float32)
    for axis, part in enumerate(displacement):
        place[axis] += enlarge(part, step)[anatomy.mask] / np.float32(anatomy.voxel_size_mm)
    return anatomy.dense(ndimage.map_coordinates(image, place, order=1, mode="nearest"))


def _step(anatomy: Anatomy) -> int:
    return round(COARSE / anatomy.voxel_size_mm)


def _smooth(random: np.random.Generator, anatomy: Anatomy, scale_mm: float) -> np.ndarray:
    """A random field on the coarse grid, the same at every voxel size."""
    coarse = tuple(n // _step(anatomy) for n in anatomy.mask.shape)
    return random_field(random, coarse, COARSE, scale_mm)
