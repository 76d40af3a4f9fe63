"""An arm's images and labels of a scan, found and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images import load_image, open_image, read_voxels
from core.names import TISSUES
from core.run_folder import image_name, labels_name
from core.study import Scan, Study


def image_path(folder: Path, scan: Scan) -> Path:
    """Where an arm's image of a scan lies."""
    return folder / image_name(scan.name)


def labels_path(folder: Path, scan: Scan) -> Path:
    """Where an arm's labels of a scan lie."""
    return folder / labels_name(scan.name)


def with_images(folder: Path, study: Study) -> list[Scan]:
    """The study's scans, and those of its rescans that an arm has an image of: not every method takes rescans."""
    return [*study.scans, *(scan for scan in study.rescans if image_path(folder, scan).is_file())]


def read_on_grid(path: Path, scan: Scan) -> np.ndarray:
    """Read an image (X, Y, Z) that must lie on the scan's grid, else `InputError`."""
    voxels, _ = load_image(path)
    if voxels.shape != scan.shape:
        raise InputError(f"{path}: shape {voxels.shape}, but the scan has {scan.shape}; apply the method again")
    return voxels


def read_arm_image(folder: Path, scan: Scan, mask: np.ndarray) -> np.ndarray:
    """An arm's image (X, Y, Z) of a scan; raises `InputError` where it is absent or has NaN or infinite voxels."""
    path = image_path(folder, scan)
    image = read_on_grid(path, scan)
    broken = int(np.count_nonzero(~np.isfinite(image[mask])))
    if broken:
        raise InputError(f"{path}: {broken} NaN or infinite voxels in the brain; apply the method again")
    return image


def load_fractions(path: Path) -> np.ndarray:
    """True fractions of CSF, GM and WM (X, Y, Z, 3), float32; raises `InputError` for another shape."""
    fractions = read_voxels(path, open_image(path, dimensions=4))
    if fractions.shape[3] != len(TISSUES):
        raise InputError(f"{path}: shape {fractions.shape}; true fractions have a fourth axis of CSF, GM, WM")
    return fractions
