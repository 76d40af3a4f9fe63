"""Images and labels that measures by hand take, read together."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.brain import brain_of
from core.errors import InputError
from core.images import check_same_grid, load_image, load_mask, voxel_volume_ml
from core.names import TISSUES
from evaluation.measures.volumes import label_volumes


def add_two_files(parser: argparse.ArgumentParser) -> None:
    """Two files, A and B."""
    parser.add_argument("a", type=Path, metavar="A")
    parser.add_argument("b", type=Path, metavar="B")


def read_together(*paths: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read images (X, Y, Z) of one grid and its affine; raises `InputError` where grids differ."""
    for path in paths[1:]:
        check_same_grid(path, paths[0])
    images, affines = zip(*(load_image(path) for path in paths), strict=True)
    return list(images), affines[0]


def read_brain(mask: Path, images: Mapping[Path, np.ndarray]) -> np.ndarray:
    """The voxels (X, Y, Z) of a mask that are background of none of the images, by path, as a run has it too."""
    whole, _ = load_mask(mask)
    brains = [brain_of(image, whole, f"{mask}, the mask of {path}") for path, image in images.items()]
    return np.logical_and.reduce(brains)


def read_labels(*paths: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Read label images of one grid: 0 none, 1 CSF, 2 GM, 3 WM; raises `InputError` for other values."""
    images, affine = read_together(*paths)
    for path, image in zip(paths, images, strict=True):
        odd = image[~np.isin(image, range(len(TISSUES) + 1))]
        if odd.size:
            raise InputError(f"{path}: holds {odd[0]:g}; labels are 0 none, 1 CSF, 2 GM, 3 WM")
    return [image.astype(np.uint8) for image in images], affine


def volumes_of(path: Path) -> dict[str, float]:
    """Volumes of a label image in mL by tissue."""
    (labels,), affine = read_labels(path)
    return label_volumes(labels, voxel_volume_ml(affine))


def print_by_tissue(name: str, values: Mapping[str, float]) -> None:
    """A line a tissue, n/a for NaN."""
    print(f"tissue\t{name}")
    for tissue, value in values.items():
        print(f"{tissue}\t{value:.6g}" if value == value else f"{tissue}\tn/a")
