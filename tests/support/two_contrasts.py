"""A study of two scanners that differ in contrast, with nobody on both."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.study import Study
from tests.support.methods import write_scans


def two_contrasts(folder: Path) -> Study:
    """Four people on each of two scanners, nobody on both: gray over white is 0.5 on one and 0.8 on the other."""
    random = np.random.default_rng(0)
    grid = np.indices((24, 24, 6))
    brain = np.square(grid - np.array([11.5, 11.5, 2.5])[:, None, None, None])
    mask = brain[0] + brain[1] < 100
    images, masks = {}, {}
    for person in range(8):
        scanner = "AB"[person % 2]
        white = np.square(grid[0] - 11.5 + random.normal()) + np.square(grid[1] - 11.5 + random.normal()) < 36
        gray = {"A": 0.8, "B": 0.5}[scanner]
        images[f"{person}", scanner] = np.where(white, 1.0, gray) + random.normal(0, 0.02, mask.shape)
        masks[f"{person}"] = mask
    return write_scans(folder, images, masks)
