"""An arm's images and labels of a scan, found and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.brain import LARGEST_BACKGROUND
from core.errors import InputError, remark
from core.names import TISSUES
from core.nifti import open_nifti
from core.run_folder import hard_labels_name, image_name, labels_name
from core.study import Scan, Study


def image_path(folder: Path, scan: Scan) -> Path:
    """Where an arm's image of a scan lies."""
    return folder / image_name(scan.name)


def labels_path(folder: Path, scan: Scan) -> Path:
    """Where an arm's labels of a scan lie."""
    return folder / labels_name(scan.name)


def hard_labels_path(folder: Path, scan: Scan) -> Path:
    """Where an arm's most probable tissues of a scan lie."""
    return folder / hard_labels_name(scan.name)


def with_images(folder: Path, study: Study) -> list[Scan]:
    """The study's scans, and the rescans and follow-ups that an arm has an image of: not every method takes such."""
    others = (*study.rescans, *study.follow_ups)
    return [*study.scans, *(scan for scan in others if image_path(folder, scan).is_file())]


def read_arm_image(folder: Path, scan: Scan, mask: np.ndarray) -> np.ndarray:
    """An arm's image (X, Y, Z) of a scan; raises `InputError` where it is absent or has NaN or infinite voxels."""
    path = image_path(folder, scan)
    image = scan.load(path)
    broken = int(np.count_nonzero(~np.isfinite(image[mask])))
    if broken:
        raise InputError(f"{path}: {broken} NaN or infinite voxels in the brain; apply the method again")
    return image


def arm_brain(folder: Path, scan: Scan, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The brain's voxels (X, Y, Z) that an arm's image has something of: one made elsewhere may be masked further.

    The others are 0, which no range is to hold and no segmenter to take for the darkest of brains; it is told. Raises
    `InputError` where they are too many.
    """
    brain: np.ndarray = mask & (image != 0)
    size = int(np.count_nonzero(mask))
    empty = size - int(np.count_nonzero(brain))
    if empty:
        told = f"{image_path(folder, scan)}: 0 in {empty} of the brain's {size} voxels ({empty / size:.2%})"
        if empty > LARGEST_BACKGROUND * size:
            raise InputError(f"{told}; give the arm's images of the whole brain")
        remark(f"{told}, which are not segmented")
    return brain


def load_fractions(path: Path) -> np.ndarray:
    """True fractions of CSF, GM and WM (X, Y, Z, 3), float32; raises `InputError` for another shape."""
    opened = open_nifti(path, dimensions=4)
    if opened.shape[3] != len(TISSUES):
        raise InputError(f"{path}: shape {opened.shape}; true fractions have a fourth axis of CSF, GM, WM")
    return opened.read()
