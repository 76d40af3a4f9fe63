"""How much a run will write, said before it starts, and whether the disk can hold it."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from core.errors import InputError

IMAGE = 1.2
"""Bytes a voxel of the grid, gzipped float32 with a background of zeros: measured 1.15 to 1.17 at 2 mm."""

LABELS = 0.12

TRUTH = 2.1
"""The noise-free image, labels and fractions of a simulated scan, a voxel."""

WARPS = 22.0
"""A warp and its inverse, gzipped float32, a voxel: measured at 2 mm 2 x 10.5 of SyN on a real head, 2 x 11 of Greedy
on a real brain."""

MODEL = 2_000_000
"""Bytes an arm's model takes: MISPEL's 4 MB with its embeddings, RAVEL's less, the others' next to nothing."""

PAGES = 10_000_000
"""Figures, tables, report and records."""


def bytes_to_write(*, scans: int, voxels: int, arms: int, beside: float) -> int:
    """About how many bytes a run leaves in its folder: the study's scans, and every arm's images and labels.

    `voxels` are those of the grid; `beside` is what a scan's source keeps beside it, in bytes a voxel. What
    it was calibrated on it overestimates by 8 to 17 %.
    """
    of_study = scans * voxels * (IMAGE + beside)
    of_arms = arms * (scans * voxels * (IMAGE + LABELS) + MODEL)
    return math.ceil(of_study + of_arms + PAGES)


def check_room(folder: Path | str, needed: int, free: int | None = None) -> str:
    """Say what a run will write into `folder`; raises `InputError` where the disk hasn't the room.

    What an earlier run left there counts as written. `free`: bytes, by default the disk's.
    """
    folder = Path(folder)
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free if free is None else free
    left = max(0, needed - written)
    told = f"{folder}: about {_gigabytes(left)} to write, {_gigabytes(free)} free"
    if left > free:
        raise InputError(
            f"{told}; make room, put `results` on another disk (a link will do), or take fewer scans or arms"
        )
    return told


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB"
