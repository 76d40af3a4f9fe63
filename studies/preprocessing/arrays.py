"""The preprocessing's arithmetic on arrays; grids are given by their affines, voxel to mm (RAS)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import nibabel as nib
import numpy as np
from scipy import ndimage

from core import noise
from core.errors import InputError
from core.images import voxel_sizes

if TYPE_CHECKING:
    import ants

BIAS_MM = 6.0
"""Distance of the voxels at which N4 looks for a field that varies over centimeters."""

N4_CONVERGENCE = {"iters": [50, 50], "tol": 1e-6}
"""Two levels of splines: on `benchmarks.preprocessing`, a third and fourth took anatomy for a field."""

ROUND_TO = 8
"""Grids are a multiple of this many voxels wide, as networks that halve them want it."""

MARGIN_MM = 6.0

_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Grid:
    """A box of voxels: its shape (X, Y, Z) and its affine (4, 4)."""

    shape: tuple[int, ...]
    affine: np.ndarray


def load_ants(threads: int = 1):
    """The module `ants`; ITK takes its number of threads from the environment as it is loaded.

    With more than one thread ITK's sums, and so the transforms, differ from run to run.
    """
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    import ants

    return ants


def to_ants(image: np.ndarray, affine: np.ndarray) -> ants.ANTsImage:
    """An image (X, Y, Z) as antspyx wants it: in LPS coordinates, its axes exactly at right angles."""
    ants = load_ants(int(os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")))
    edges = voxel_sizes(affine)
    left, _, right = np.linalg.svd(affine[:3, :3] / edges)
    return ants.from_numpy(
        np.asarray(image, dtype=np.float32),
        origin=list(_LPS @ affine[:3, 3]),
        spacing=list(map(float, edges)),
        direction=_LPS @ (left @ right),
    )


def reorient(image: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image with its axes running to the right, the front and the top, and its affine; no voxel changes."""
    turned = nib.as_closest_canonical(nib.Nifti1Image(np.asarray(image, dtype=np.float32), affine))
    return np.ascontiguousarray(turned.dataobj), np.array(turned.affine)


def brain_grid(mask: np.ndarray, affine: np.ndarray, voxel_size_mm: float) -> Grid:
    """A right-angled grid around the mask (X, Y, Z), `MARGIN_MM` wider on each side."""
    places = nib.affines.apply_affine(affine, np.argwhere(mask))
    corners = np.array([places.min(axis=0), places.max(axis=0)])
    width = np.ceil((corners[1] - corners[0] + 2 * MARGIN_MM) / voxel_size_mm / ROUND_TO).astype(int) * ROUND_TO
    new = np.diag([voxel_size_mm] * 3 + [1.0])
    new[:3, 3] = np.round(corners.mean(axis=0) - (width - 1) * voxel_size_mm / 2, 3)
    return Grid(tuple(int(n) for n in width), new)


def smooth_for(image: np.ndarray, affine: np.ndarray, voxel_size_mm: float) -> np.ndarray:
    """The image blurred so that voxels of `voxel_size_mm` can carry it; unchanged where they are no larger."""
    ratio = voxel_size_mm / voxel_sizes(affine)
    return ndimage.gaussian_filter(image, np.where(ratio > 1.2, 0.425 * np.sqrt(np.maximum(ratio**2 - 1, 0)), 0))


def sample(
    image: np.ndarray, affine: np.ndarray, grid: Grid, *, mode: Literal["constant", "nearest"] = "constant"
) -> np.ndarray:
    """The image (X, Y, Z) on another grid, linearly interpolated; 0 beyond it, or as scipy's `mode` says."""
    matrix = np.linalg.inv(affine) @ grid.affine
    return ndimage.affine_transform(image, matrix[:3, :3], matrix[:3, 3], grid.shape, order=1, mode=mode)


def coarser(shape: tuple[int, ...], affine: np.ndarray, voxel_size_mm: float) -> Grid:
    """The same box with voxels of about `voxel_size_mm`; the grid itself where its voxels are larger."""
    edges = voxel_sizes(affine)
    counts = np.maximum(np.round(np.array(shape) * edges / voxel_size_mm), 1)
    counts = np.where(edges < voxel_size_mm, counts, shape).astype(int)
    factor = np.array(shape) / counts
    new = affine @ np.diag([*factor, 1.0])
    new[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((factor - 1) / 2)
    return Grid(tuple(int(n) for n in counts), new)


def bias_field(image: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The factor by which the image is too bright, float32 (X, Y, Z), of mean 1 over the mask.

    N4 (Tustison et al., IEEE TMI 2010) on a voxel every `BIAS_MM`, since the field is smooth; the image
    is divided by it. Raises `InputError` where the mask holds nothing above 0.
    """
    ants = load_ants(int(os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")))
    # every few voxels as they are: averages would mix the tissues, whose peaks N4 sharpens
    step = np.maximum(np.round(BIAS_MM / voxel_sizes(affine)), 1).astype(int)
    places = tuple(slice(every // 2, None, every) for every in step)
    small = np.ascontiguousarray(image[places], dtype=np.float32)
    thinned = affine @ np.diag([*step, 1.0])
    thinned[:3, 3] = nib.affines.apply_affine(affine, step // 2)
    grid = Grid(small.shape, thinned)
    inside = mask[places] & (small > 0)
    if np.count_nonzero(inside) < 100:
        raise InputError("the brain mask holds next to nothing above 0; is it this scan's mask?")
    field = ants.n4_bias_field_correction(
        to_ants(small, grid.affine),
        mask=to_ants(inside, grid.affine),
        shrink_factor=1,
        convergence=N4_CONVERGENCE,
        return_bias_field=True,
    ).numpy()
    # N4 extrapolates beyond the mask; the nearest field inside is safer there
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    logarithm = np.log(np.maximum(field, 1e-3))[tuple(nearest)].astype(np.float32)
    full = np.exp(sample(logarithm, grid.affine, Grid(image.shape, affine), mode="nearest"))
    return (full / full[mask].mean()).astype(np.float32)


def noise_sd(image: np.ndarray, mask: np.ndarray) -> float:
    """The SD of a brain's noise (`core.noise.noise_sd`), two voxels within it: a rough figure to compare scans by."""
    return noise.noise_sd(image, ndimage.binary_erosion(mask, iterations=2))
