"""Slices of images as figures show them: turned upright, boxed, on one scale of gray."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np

from core.boxes import spans
from core.images import load_image, voxel_sizes


def canonical(image: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn an image (X, Y, Z) so that its axes run to the right, the front and the top.

    Returns it with the voxel edges (3,) in mm in that order.
    """
    turned = nib.as_closest_canonical(nib.Nifti1Image(image, affine))
    return np.asarray(turned.dataobj), voxel_sizes(turned.affine)


def read_canonical(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read an image and turn it as `canonical` does."""
    return canonical(*load_image(path))


def brain_box(image: np.ndarray, margin: int = 2) -> tuple[slice, ...]:
    """The box around all voxels that aren't 0 (X, Y, Z), with a margin; the whole grid if all are."""
    box = spans(image != 0) or tuple((0, size) for size in image.shape)
    return tuple(slice(max(0, start - margin), stop + margin) for start, stop in box)


def example_level(box: tuple[slice, ...], shape: tuple[int, ...]) -> int:
    """The axial slice that figures show: just above the middle of the brain's box (in a canonical grid).

    There a brain shows its lateral ventricles, deep nuclei and cortex.
    """
    start, stop, _ = box[2].indices(shape[2])
    return start + int(0.53 * (stop - 1 - start))


def upright(image: np.ndarray, axis: int, index: int) -> np.ndarray:
    """A slice (rows, columns) of a canonical image as one looks at it.

    Axis 2 is axial (front at the top, the subject's left on the left), 1 coronal, 0 sagittal (front on
    the right).
    """
    return np.rot90(np.take(image, index, axis=axis))


def gray_range(images: Iterable[np.ndarray]) -> tuple[float, float]:
    """The 0.5th and 99.5th percentile of the voxels that aren't 0, over all the images together.

    (0, 1) where there is nothing to scale by.
    """
    parts = [image[image != 0].ravel() for image in images]
    voxels = np.concatenate(parts) if parts else np.empty(0)
    if voxels.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(voxels, [0.5, 99.5])
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)
