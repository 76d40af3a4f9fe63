"""Small made-up studies: balls with a wavy ribbon on three made-up scanners, 6 mm voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from core.images import load_image, save_image, save_labels
from core.sheet import write_sheet
from core.study import Scan, Study

AFFINE = np.diag([6.0, 6.0, 6.0, 1.0])
SHAPE = (24, 28, 22)


def made_up_brain(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (0 none, 1 CSF, 2 GM, 3 WM) and mask of a ball with a wavy ribbon; 6 mm voxels, about 1 L."""
    generator = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in grid))
    wave = gaussian_filter(generator.normal(size=SHAPE), 2.0)
    depth = radius + 0.15 * wave / wave.std()
    mask = radius < 0.9
    labels = np.where(depth < 0.55, 3, np.where(depth < 0.78, 2, 1))
    labels = np.where(radius < 0.2, 1, labels)
    return np.where(mask, labels, 0), mask


def scanned(labels: np.ndarray, mask: np.ndarray, contrast: tuple[float, float, float], seed: int) -> np.ndarray:
    """A made-up scan of the labels: CSF, GM and WM at `contrast`, with noise; positive, 0 outside."""
    generator = np.random.default_rng(seed)
    image = np.array([0.0, *contrast])[labels]
    image = gaussian_filter(image, 0.5) + generator.normal(0, 0.03, labels.shape)
    return np.where(mask, np.clip(image, 0.02, None), 0).astype(np.float32)


CONTRASTS = {
    "Alpha": (0.30, 0.80, 1.30),
    "Beta 2": (0.45, 0.95, 1.25),
    "Gamma": (0.25, 0.90, 1.50),
}


T2_CONTRASTS = {
    "Alpha": (1.60, 0.90, 0.50),
    "Beta 2": (1.40, 0.85, 0.60),
    "Gamma": (1.80, 0.95, 0.45),
}


def write_study(folder: Path, *, subjects: int = 3, missing: tuple[str, str] | None = None, t2: bool = False) -> Path:
    """Write scans of made-up people on three made-up scanners and their sheet; returns the sheet's path.

    With `t2` each scan has a T2-weighted image beside it.
    """
    scans = []
    for number in range(subjects):
        subject = f"{number + 1:02d}"
        labels, mask = made_up_brain(number)
        save_labels(folder / f"{subject}_mask.nii.gz", mask, AFFINE)
        for place, (scanner, contrast) in enumerate(CONTRASTS.items()):
            if (subject, scanner) == missing:
                continue
            image = folder / f"{subject}_{place}.nii.gz"
            save_image(image, 700 * scanned(labels, mask, contrast, 10 * number + place), AFFINE)
            covariates = {"age": str(60 + 5 * number)}
            beside = folder / f"{subject}_{place}_t2.nii.gz" if t2 else None
            if beside is not None:
                save_image(
                    beside, 400 * scanned(labels, mask, T2_CONTRASTS[scanner], 1000 + 10 * number + place), AFFINE
                )
            scans.append(Scan(subject, scanner, image, folder / f"{subject}_mask.nii.gz", covariates, t2=beside))
    sheet = folder / "scans.tsv"
    write_sheet(sheet, Study(tuple(scans)))
    return sheet


def write_rescan(image: Path, seed: int) -> Path:
    """Write another scan of what an image of `write_study` shows, its noise its own; returns its path."""
    voxels, affine = load_image(image)
    again = voxels + np.random.default_rng(seed).normal(0, 15, voxels.shape)
    path = image.with_name(image.name.replace(".nii.gz", "_again.nii.gz"))
    save_image(path, np.where(voxels > 0, np.clip(again, 10, None), 0).astype(np.float32), affine)
    return path
