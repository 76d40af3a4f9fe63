"""NIfTI images in and out, and the one rule that brings every image onto the study's scale."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from core.errors import InputError
from core.files import write_beside
from core.names import Scale
from core.paths import check_is_file

AFFINE_TOLERANCE_MM = 1e-3
"""Affines that differ by no more are the same grid."""

LARGEST_VOXEL_COUNT = 2**31
"""A header that claims more voxels than this (8 GB as float32) is broken or hostile."""

MOST_COMPRESSED = 1040
"""gzip makes nothing smaller than by about 1032 to 1."""

UNREADABLE = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    zlib.error,
)
"""What nibabel raises for a file that isn't what it says."""


def open_image(path: Path | str, *, dimensions: int = 3) -> nib.Nifti1Pair:
    """Open a NIfTI file without reading its voxels.

    Raises `InputError` when the file is absent, not a NIfTI image, not of so many dimensions, has an affine
    that isn't one, or claims more voxels than a scan has or than the file can hold.
    """
    path = Path(path)
    check_is_file(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: empty (0 bytes); copy it anew")
    try:
        # a header's numbers may overflow; what comes of it is refused below
        with np.errstate(all="ignore"):
            image = nib.load(path)
            if not isinstance(image, nib.Nifti1Pair):
                raise InputError(f"{path}: a {type(image).__name__}, not a NIfTI image; convert it to .nii.gz")
            shape, affine = image.shape, np.asarray(image.affine, dtype=np.float64)
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable NIfTI image ({error}); copy or convert it anew") from None
    kind = image.get_data_dtype()
    if kind.kind in "cV":
        named = f"RGB colors ({', '.join(kind.names)})" if kind.names else str(kind)
        raise InputError(f"{path}: its voxels are {named}; give an image of one real number a voxel")
    if len(shape) == 4 and shape[3] == 1 and dimensions == 3:
        shape = shape[:3]
    if len(shape) != dimensions:
        raise InputError(f"{path}: has {len(shape)} dimensions {image.shape}; give a {dimensions}-D image")
    if min(shape) < 1 or np.prod(shape, dtype=float) > LARGEST_VOXEL_COUNT:
        raise InputError(f"{path}: its header claims {shape} voxels, which no scan has; copy it anew")
    stored = Path(image.file_map["image"].filename or path)
    size = stored.stat().st_size * (1 if stored.suffix in (".nii", ".img") else MOST_COMPRESSED)
    claimed = np.prod(shape, dtype=float) * image.get_data_dtype().itemsize
    if claimed > size:
        raise InputError(
            f"{path}: its header claims {claimed:.0f} bytes of voxels, more than the file holds "
            f"({stored.stat().st_size} bytes); it is truncated or broken: copy it anew"
        )
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        raise InputError(f"{path}: its affine isn't one (not finite, or voxels of no volume); repair the header")
    return image


def load_image(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read a 3-D NIfTI image whatever its stored type, scaling and byte order.

    Returns the voxels (X, Y, Z) as float32 and the affine (4, 4) as float64, in mm.
    Raises `InputError` for what `open_image` refuses and for a broken or truncated body.
    """
    image = open_image(path)
    voxels = read_voxels(path, image)
    return np.ascontiguousarray(voxels.reshape(voxels.shape[:3])), np.array(image.affine, dtype=np.float64)


def read_voxels(path: Path | str, image: nib.Nifti1Pair) -> np.ndarray:
    """The voxels of an opened image as float32; raises `InputError` for a broken or truncated body."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(image.dataobj, dtype=np.float32)
    except (*UNREADABLE, MemoryError) as error:
        raise InputError(f"{path}: its voxels cannot be read ({error}); copy it anew") from None


def check_whole(path: Path | str) -> None:
    """Refuse a compressed file with a broken stream; reading just its voxels never comes to its checksum."""
    if not str(path).endswith(".gz"):
        return
    try:
        with gzip.open(path) as stream:
            while stream.read(2**20):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: its voxels cannot be read ({error}); copy it anew") from None


def load_mask(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read a brain mask (X, Y, Z) as bool with its affine; refuses values other than 0 and 1, and an empty mask."""
    voxels, affine = load_image(path)
    odd = voxels[(voxels != 0) & (voxels != 1)]
    if odd.size:
        raise InputError(f"{path}: a mask holds only 0 and 1, this one also {odd[0]:g}; binarize it")
    mask = voxels == 1
    if not mask.any():
        raise InputError(f"{path}: the mask is empty; give one that covers the brain")
    return mask, affine


def check_same_grid(path: Path | str, first: Path | str) -> None:
    """Refuse a file whose shape or affine isn't that of `first`."""
    image, other = open_image(path), open_image(first)
    if image.shape[:3] != other.shape[:3] or np.abs(image.affine - other.affine).max() > AFFINE_TOLERANCE_MM:
        raise InputError(
            f"{path}: shape {image.shape} or affine isn't that of {first} ({other.shape}); "
            "resample it onto the same grid"
        )


def save_image(path: Path | str, voxels: np.ndarray, affine: np.ndarray) -> None:
    """Write voxels (X, Y, Z) as a float32 NIfTI-1 file (.nii or .nii.gz); the same voxels give the same bytes."""
    _save(path, np.asarray(voxels, dtype=np.float32), affine)


def save_labels(path: Path | str, labels: np.ndarray, affine: np.ndarray) -> None:
    """Write labels or a mask (X, Y, Z) as a uint8 NIfTI-1 file."""
    _save(path, np.asarray(labels, dtype=np.uint8), affine)


def _save(path: Path | str, voxels: np.ndarray, affine: np.ndarray) -> None:
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1, 0)
    content = image.to_bytes()
    if str(path).endswith(".gz"):
        # no file name and no time stamp in the gzip header: equal voxels, equal bytes
        content = gzip.compress(content, compresslevel=1, mtime=0)
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

    Raises `InputError` when the mean is not positive.
    """
    inside = np.where(mask, image, np.float32(0))
    if scale == "none":
        return inside
    mean = float(inside[mask].mean(dtype=np.float64))
    if scale == "volume":
        mean *= mask.sum() / mask.size
    if not mean > 0:
        raise InputError(f"the mean intensity is {mean:g}: only a positive one can be divided by; set scale: none")
    return (inside / np.float32(mean)).astype(np.float32, copy=False)


def brain_mask(image: np.ndarray) -> np.ndarray:
    """The largest connected part of the voxels above 0, its holes filled: bool (X, Y, Z)."""
    from scipy import ndimage  # takes a third of a second, which most that read images needn't wait for

    labels, count = ndimage.label(image > 0)
    if count == 0:
        raise InputError("no voxel is above 0; there is no brain in the image")
    largest = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    return ndimage.binary_fill_holes(largest)
