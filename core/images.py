"""NIfTI images in and out, and the one rule that brings every image onto the study's scale."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip

from core.errors import InputError
from core.files import write_beside
from core.names import Scale
from core.nifti import NiftiFile, open_nifti

LEAST_MEAN = 0.05
"""Of the SD over the brain that a mean to divide by must have: scans have 3 and more, z-scored ones 0."""

MOST_NEGATIVE = 0.05
"""Of what an image's positive voxels add up to that its negative ones may: interpolation leaves a little, a z-score as
much of both."""

AFFINE_TOLERANCE_MM = 1e-3
"""Affines that differ by no more are the same grid."""


def load_image(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read a 3-D NIfTI image whatever its stored type, scaling, byte order and unit of length.

    Returns the voxels (X, Y, Z) as float32 and the affine (4, 4) as float64, in mm.
    Raises `InputError` for what `open_nifti` refuses and for a broken, truncated or prolonged body.
    """
    opened = open_nifti(path)
    return opened.read(), opened.affine


def load_mask(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read a brain mask (X, Y, Z) as bool with its affine; refuses what `to_mask` refuses."""
    voxels, affine = load_image(path)
    return to_mask(voxels, path), affine


def to_mask(voxels: np.ndarray, path: Path | str) -> np.ndarray:
    """The voxels (X, Y, Z) of a brain mask as bool; refuses values other than 0 and 1, and an empty mask."""
    mask: np.ndarray = voxels == 1
    count = np.count_nonzero(mask)
    if np.count_nonzero(voxels) != count:
        odd = voxels[(voxels != 0) & ~mask]
        raise InputError(f"{path}: a mask holds only 0 and 1, this one also {odd[0]:g}; binarize it")
    if not count:
        raise InputError(f"{path}: the mask is empty; give one that covers the brain")
    return mask


def load_on_grid(path: Path | str, shape: tuple[int, ...], affine: np.ndarray, whose: str) -> np.ndarray:
    """Read an image (X, Y, Z), float32, that must lie on the grid of this shape and affine, which is `whose`.

    Raises `InputError` for what `load_image` refuses, and for another grid before any voxel is read.
    """
    opened = open_nifti(path)
    check_grid(opened, shape, affine, whose)
    return opened.read()


def check_grid(image: NiftiFile, shape: tuple[int, ...], affine: np.ndarray, whose: str) -> None:
    """Refuse an image that doesn't lie on the grid of this shape and affine (4, 4), which is `whose`."""
    if image.shape[:3] != tuple(shape):
        raise InputError(f"{image.path} has shape {image.shape}, {whose} {tuple(shape)}; resample it onto that grid")
    difference = float(np.abs(image.affine - affine).max())
    if difference > AFFINE_TOLERANCE_MM:
        raise InputError(
            f"{image.path}: its affine differs from that of {whose} by up to {difference:g} mm; resample it onto that "
            "grid"
        )


def check_same_grid(path: Path | str, first: Path | str) -> None:
    """Refuse a file whose shape or affine isn't that of `first`."""
    other = open_nifti(first)
    check_grid(open_nifti(path), other.shape[:3], other.affine, str(first))


def save_image(path: Path | str, voxels: np.ndarray, affine: np.ndarray, *, leads_to: int | None = None) -> None:
    """Write voxels (X, Y, Z) as a float32 NIfTI-1 file (.nii or .nii.gz); the same voxels give the same bytes.

    With `leads_to`, NIfTI's code of the coordinates that the affine leads to, the header says so in its sform and, for
    an affine without shears, its qform.
    """
    _save(path, np.asarray(voxels, dtype=np.float32), affine, leads_to)


def save_labels(path: Path | str, labels: np.ndarray, affine: np.ndarray, *, leads_to: int | None = None) -> None:
    """Write labels or a mask (X, Y, Z) as a uint8 NIfTI-1 file; `leads_to` as for `save_image`."""
    _save(path, np.asarray(labels, dtype=np.uint8), affine, leads_to)


def _save(path: Path | str, voxels: np.ndarray, affine: np.ndarray, leads_to: int | None) -> None:
    image = nib.Nifti1Image(voxels, affine)
    if leads_to is not None:
        image.set_sform(affine, leads_to)
        image.set_qform(affine, leads_to)
        if not np.allclose(image.get_qform(), affine, atol=1e-3):
            image.set_qform(None, 0)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1, 0)
    content = image.to_bytes()
    if str(path).endswith(".gz"):
        # no file name and no time stamp in the gzip header: equal voxels, equal bytes, on one kind of processor. At the
        # same size zlib takes 15 times as long, which was a third of the time of bringing scans into a study
        content = igzip.compress(content, compresslevel=1, mtime=0)
    with write_beside(path) as temporary:
        temporary.write_bytes(content)


def voxel_sizes(affine: np.ndarray) -> np.ndarray:
    """Edge lengths of a voxel (3,) in mm."""
    sizes: np.ndarray = nib.affines.voxel_sizes(affine)
    return sizes


def voxel_volume_ml(affine: np.ndarray) -> float:
    """Volume of a voxel in mL."""
    return float(abs(np.linalg.det(affine[:3, :3])) / 1000.0)


def scale_to_mean(image: np.ndarray, mask: np.ndarray, scale: Scale) -> np.ndarray:
    """Bring an image (X, Y, Z) onto the study's scale; 0 outside the mask.

    `brain` divides by the mean over the mask (paper, section 4.1: "dividing by the image's average
    intensity"), `volume` by the mean over the whole grid, background included, as the authors' code
    does, and `none` leaves the intensities as they are.

    Raises `InputError` when the mean is not positive, or near 0 beside the spread.
    """
    inside = np.where(mask, image, np.float32(0))
    if scale == "none":
        return inside
    mean = float(inside[mask].mean(dtype=np.float64))
    if not mean > LEAST_MEAN * float(inside[mask].std(dtype=np.float64)):
        raise InputError(
            f"the mean intensity is {mean:g}, which can't be divided by: it is near or below 0, as in a z-scored "
            "image; give the scan as the scanner gave it, or set scale: none"
        )
    if scale == "volume":
        mean *= mask.sum() / mask.size
    return (inside / np.float32(mean)).astype(np.float32, copy=False)


def check_positive(values: np.ndarray, path: Path | str) -> None:
    """Refuse brain voxels (n,) of which some are negative: dividing by their mean, and FAST's model, make no sense."""
    lowest = float(values.min())
    if lowest < 0:
        raise InputError(
            f"{path}: {np.count_nonzero(values < 0)} voxels in the brain are negative, down to {lowest:g}: images are "
            "divided by their mean, and segmented by a model of log(1 + intensity); give the scan as the scanner gave "
            "it and not z-scored, or shift it above 0"
        )


def check_magnitude(image: np.ndarray, path: Path | str) -> None:
    """Refuse an image (X, Y, Z) with its brain or not that isn't one of magnitudes, as scanners give, but z-scored."""
    negative, positive = (float(np.abs(image[part]).sum(dtype=np.float64)) for part in (image < 0, image > 0))
    if negative > MOST_NEGATIVE * positive:
        raise InputError(
            f"{path}: its negative voxels add up to {negative / (negative + positive):.0%} of all, so that it is "
            "z-scored or shifted; give the scan as the scanner gave it"
        )


def brain_mask(image: np.ndarray) -> np.ndarray:
    """The largest connected part of the voxels above 0, its holes filled: bool (X, Y, Z)."""
    from scipy import ndimage  # takes a third of a second, which most that read images needn't wait for

    labels, count = ndimage.label(image > 0)
    if count == 0:
        raise InputError("no voxel is above 0; there is no brain in the image")
    largest = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    return ndimage.binary_fill_holes(largest)
