"""Small simulated studies for MISPEL's tests: smooth random brains, seen by scanners of different contrast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from core.images import save_image, save_labels
from core.sheet import read_sheet
from core.study import Study

SCANNERS = {"GE": (1.0, 0.8), "Philips": (0.7, 1.3), "Prisma": (1.2, 1.0), "Trio": (0.9, 1.15)}
"""Gain and gamma of the simulated scanners."""
AFFINE = np.array([[2.0, 0, 0, -30], [0, 2.0, 0, -36], [0, 0, 2.0, -20], [0, 0, 0, 1]])


def brain(seed: int, shape: tuple[int, int, int] = (30, 37, 20)) -> tuple[np.ndarray, np.ndarray]:
    """A random brain (X, Y, Z) between 0.2 and 1.2 and its mask, an ellipsoid a little off the middle."""
    rng = np.random.default_rng(seed)
    texture = sum(gaussian_filter(rng.normal(size=shape), sigma) * sigma**1.5 for sigma in (1.0, 2.5))
    low, high = np.quantile(texture, [0.02, 0.98])
    values = 0.2 + np.clip((texture - low) / (high - low), 0, 1)
    grid = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    center = rng.uniform(-0.06, 0.06, 3)
    distance = sum(((axis - c) / 0.72) ** 2 for axis, c in zip(grid, center, strict=True))
    return values, distance < 1


def write_study(
    folder: Path,
    *,
    subjects: int = 2,
    scanners: tuple[str, ...] = tuple(SCANNERS),
    shape: tuple[int, int, int] = (30, 37, 20),
    missing: tuple[tuple[str, str], ...] = (),
    first_seed: int = 0,
) -> Path:
    """Write scans, masks and the sheet of a study into `folder`; returns the sheet's path."""
    rows = []
    for number in range(subjects):
        subject = f"{first_seed + number:02d}"
        values, mask = brain(first_seed + number, shape)
        save_labels(folder / f"{subject}_mask.nii.gz", mask, AFFINE)
        for index, scanner in enumerate(scanners):
            if (subject, scanner) in missing:
                continue
            gain, gamma = SCANNERS.get(scanner, (1.0 + 0.1 * index, 1.0 - 0.1 * index))
            noise = np.random.default_rng([first_seed + number, index]).normal(0, 0.03, shape)
            save_image(folder / f"{subject}_{scanner}.nii.gz", np.where(mask, gain * values**gamma + noise, 0), AFFINE)
            rows.append((subject, scanner, f"{subject}_{scanner}.nii.gz", f"{subject}_mask.nii.gz"))
    table = pd.DataFrame(rows, columns=["subject", "scanner", "image", "mask"])
    table.to_csv(folder / "scans.tsv", sep="\t", index=False)
    return folder / "scans.tsv"


def make_study(folder: Path, **options: object) -> Study:
    """The study that `write_study` wrote, read at the benchmark's default scale."""
    return read_sheet(write_study(folder, **options), scale="brain")
