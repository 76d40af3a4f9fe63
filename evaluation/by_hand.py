"""The measures on files, for one image or pair at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.measures.overlap import dice_by_tissue
from evaluation.measures.similarity import pearson, ssim
from evaluation.measures.volumes import fraction_volumes, label_volumes
from evaluation.run import load_fractions
from evaluation.segmentation import TISSUES, labels_at, segment
from studies.errors import InputError
from studies.images import load_image, load_mask, save_image, save_labels, voxel_sizes, voxel_volume_ml
from studies.sheet import AFFINE_TOLERANCE_MM


def read_together(*paths: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read images (X, Y, Z) of one grid and its affine; raises `InputError` where grids differ."""
    images, affines = zip(*(load_image(path) for path in paths), strict=True)
    for path, image, affine in zip(paths, images, affines, strict=True):
        if image.shape != images[0].shape or np.abs(affine - affines[0]).max() > AFFINE_TOLERANCE_MM:
            raise InputError(
                f"{path}: shape {image.shape} or affine isn't that of {paths[0]} ({images[0].shape}); "
                "resample it onto the same grid"
            )
    return list(images), affines[0]


def read_labels(*paths: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read label images of one grid: 0 none, 1 CSF, 2 GM, 3 WM; raises `InputError` for other values."""
    images, affine = read_together(*paths)
    for path, image in zip(paths, images, strict=True):
        odd = image[~np.isin(image, range(len(TISSUES) + 1))]
        if odd.size:
            raise InputError(f"{path}: holds {odd[0]:g}; labels are 0 none, 1 CSF, 2 GM, 3 WM")
    return [image.astype(np.uint8) for image in images], affine


def segment_file(
    image: Path,
    mask: Path,
    out: Path,
    *,
    engine: str,
    rule: str,
    threshold: float,
    threads: int,
    posteriors: Path | None = None,
    bias: Path | None = None,
) -> None:
    """Segment an image, intensities as given, and write its labels; posteriors (X, Y, Z, 3) and bias if asked."""
    (voxels, _), affine = read_together(image, mask)
    found = segment(voxels, load_mask(mask)[0], voxel_sizes(affine), engine=engine, threads=threads, name=str(image))
    labels = labels_at(found, rule, threshold)
    if bias is not None and found.bias_field is None:
        raise InputError(f"engine {found.engine} estimates no bias field; use hmrf or fsl, or leave out --bias")
    if posteriors is not None:
        save_image(posteriors, np.moveaxis(found.posteriors, 0, -1), affine)
    if bias is not None:
        save_image(bias, found.bias_field, affine)
    save_labels(out, labels, affine)


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
