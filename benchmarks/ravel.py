"""Print RAVEL's time and peak memory on made-up scans of 1.84 million brain voxels.

    python benchmarks/ravel.py --scans 8 24 72

Each size runs in a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from baselines.ravel import Ravel
from core.images import save_image, save_labels
from core.study import Scan, Study

SHAPE = (160, 192, 144)
BRAIN_VOXELS = 1_840_000


def write_scans(folder: Path, count: int) -> Study:
    """Made-up scans of three tissues in shells, with a control mask in the middle."""
    generator = np.random.default_rng(0)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    grid = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32) for size in SHAPE), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in grid))
    mask = radius <= np.partition(radius.ravel(), BRAIN_VOXELS - 1)[BRAIN_VOXELS - 1]
    save_labels(folder / "mask.nii.gz", mask, affine)
    save_labels(folder / "control.nii.gz", radius < 0.2, affine)
    tissue = np.select([radius < 0.2, radius < 0.6, radius < 0.8], [0.35, 1.3, 0.9], 0.35).astype(np.float32)
    scans = []
    for number in range(count):
        image = tissue + generator.normal(0, 0.06, SHAPE).astype(np.float32)
        path = folder / f"{number}.nii.gz"
        save_image(path, np.where(mask, np.clip(image, 0.01, None), 0), affine)
        scans.append(Scan(f"s{number // 4}", f"m{number % 4}", path, folder / "mask.nii.gz"))
    return Study(tuple(scans))


def measure(folder: Path, count: int) -> None:
    """Fit and apply to one scan; print a row of the table."""
    paths = [folder / f"{number}.nii.gz" for number in range(count)]
    study = Study(tuple(Scan(f"s{n // 4}", f"m{n % 4}", path, folder / "mask.nii.gz") for n, path in enumerate(paths)))
    begun = time.process_time()
    ravel = Ravel(Ravel.Parameters(control_mask=folder / "control.nii.gz"))
    ravel.fit(study)
    fitted = time.process_time()
    ravel.transform(study.scans[0])
    applied = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:>6}{fitted - begun:>14.1f}{applied - fitted:>22.2f}{peak:>12.0f}")


def main() -> None:
    """Measure every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, nargs="+", default=[8, 24, 72])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure, given.scans[0])
        return
    print(f"{'scans':>6}{'fit, CPU s':>14}{'apply a scan, CPU s':>22}{'peak, MB':>12}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_scans(Path(folder), max(given.scans))
        for count in given.scans:
            command = [sys.executable, __file__, "--measure", folder, "--scans", str(count)]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
