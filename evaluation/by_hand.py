"""The measures on files, for one image or pair at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images import check_same_grid, load_image, load_mask, voxel_volume_ml
from evaluation.arms.images import load_fractions
from evaluation.measures.overlap import dice_by_tissue
from evaluation.measures.similarity import pearson, ssim
from evaluation.measures.volumes import fraction_volumes, label_volumes
from segmentation import TISSUES


def read_together(*paths: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read images (X, Y, Z) of one grid and its affine; raises `InputError` where grids differ."""
    for path in paths[1:]:
        check_same_grid(path, paths[0])
    images, affines = zip(*(load_image(path) for path in paths), strict=True)
    return list(images), affines[0]


def read_labels(*paths: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read label images of one grid: 0 none, 1 CSF, 2 GM, 3 WM; raises `InputError` for other values."""
    images, affine = read_together(*paths)
    for path, image in zip(paths, images, strict=True):
        odd = image[~np.isin(image, range(len(TISSUES) + 1))]
        if odd.size:
            raise InputError(f"{path}: holds {odd[0]:g}; labels are 0 none, 1 CSF, 2 GM, 3 WM")
    return [image.astype(np.uint8) for image in images], affine


def ssim_of_files(a: Path, b: Path, mask: Path, *, data_range: float, low: float) -> float:
    """SSIM of two images over a mask."""
    images, _ = read_together(a, b, mask)
    return ssim(*images[:2], load_mask(mask)[0], data_range=data_range, low=low)


def pearson_of_files(a: Path, b: Path, mask: Path) -> float:
    """Pearson correlation of two images over a mask."""
    images, _ = read_together(a, b, mask)
    return pearson(*images[:2], load_mask(mask)[0])


def dice_of_files(a: Path, b: Path) -> dict[str, float]:
    """Dice of two label images by tissue."""
    labels, _ = read_labels(a, b)
    return dice_by_tissue(*labels)


def volumes_of_file(path: Path) -> dict[str, float]:
    """Volumes of a label image in mL by tissue."""
    (labels,), affine = read_labels(path)
    return label_volumes(labels, voxel_volume_ml(affine))


def volume_difference_of_files(a: Path, b: Path) -> dict[str, float]:
    """Volumes of one label image less those of another, in mL by tissue; their grids may differ."""
    volumes_a, volumes_b = volumes_of_file(a), volumes_of_file(b)
    return {tissue: volumes_a[tissue] - volumes_b[tissue] for tissue in TISSUES}


def volume_error_of_files(labels: Path, fractions: Path) -> dict[str, float]:
    """Volumes of a label image less the true ones, the sums of fractions (X, Y, Z, 3), in mL by tissue."""
    (read,), affine = read_labels(labels)
    true = load_fractions(fractions)
    if true.shape[:3] != read.shape:
        raise InputError(f"{fractions}: shape {true.shape[:3]}, but {labels} has {read.shape}; give those of that scan")
    voxel_ml = voxel_volume_ml(affine)
    found, truth = label_volumes(read, voxel_ml), fraction_volumes(true, voxel_ml)
    return {tissue: found[tissue] - truth[tissue] for tissue in TISSUES}
