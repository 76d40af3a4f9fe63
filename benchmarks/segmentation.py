"""Compare the segmentation engines with FAST: time, memory, Dice and volume error, in one table.

    python -m benchmarks.segmentation                      # the MNI152 atlas at 1 and 2 mm
    python -m benchmarks.segmentation --image T1w.nii.gz --mask mask.nii.gz --reference fast.nii.gz

The reference holds FAST's labels at posterior > 0.8 (0 none, 1 CSF, 2 GM, 3 WM). Each engine runs
in a fresh process with one thread, after a small brain that pays for compiling: its CPU seconds are
those of the image alone, its peak memory that of the whole process, image read from a file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from segmentation.interface import TISSUES

ATLAS = Path(__file__).parents[1] / "tests" / "data" / "fast_mni152"
THRESHOLD = 0.8

Segmenter = Callable[[np.ndarray, np.ndarray, Sequence[float]], np.ndarray]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="T1-weighted image (default: the MNI152 atlas)")
    parser.add_argument("--mask", type=Path, help="its brain mask")
    parser.add_argument("--reference", type=Path, help="FAST's labels of it")
    parser.add_argument("--engines", nargs="+", default=list(SEGMENTERS), choices=SEGMENTERS)
    arguments = parser.parse_args(argv)
    given = (arguments.image, arguments.mask, arguments.reference)
    if any(given) and not all(given):
        parser.error("--image, --mask and --reference belong together")
    os.environ.update(OMP_NUM_THREADS="1", ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS="1")
    with tempfile.TemporaryDirectory() as folder:
        cases = [given] if all(given) else [write_atlas(Path(folder), resolution) for resolution in (2, 1)]
        rows = [measure(engine, *case) for case in cases for engine in arguments.engines]
    print(pd.DataFrame(rows).to_string(index=False))
    return 0


def write_atlas(folder: Path, resolution: int) -> tuple[Path, Path, Path]:
    """Write the MNI152 atlas's brain and mask as FAST was given them; paths of image, mask, labels."""
    import nibabel as nib
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    template, mask = load_mni152_template(resolution), load_mni152_brain_mask(resolution)
    brain = template.get_fdata() * mask.get_fdata()
    name = f"mni152_{resolution}mm"
    image_path, mask_path = folder / f"{name}_T1w.nii.gz", folder / f"{name}_mask.nii.gz"
    nib.save(nib.Nifti1Image((brain * 1000 / brain.max()).astype(np.float32), template.affine), image_path)
    nib.save(nib.Nifti1Image((brain > 0).astype(np.uint8), template.affine), mask_path)
    return image_path, mask_path, ATLAS / f"{name}_prob08.nii.gz"


def measure(engine: str, image: Path, mask: Path, reference: Path) -> dict[str, object]:
    """One row of the table, from a process of its own."""
    print(f"{image.name}: {engine} ...", file=sys.stderr, flush=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        labels, voxel_ml, cpu, wall, peak = pool.apply(run, (engine, image, mask))
    from core.images import load_image

    expected = load_image(reference)[0]
    row: dict[str, object] = {
        "image": image.name.removesuffix(".nii.gz"),
        "engine": engine,
        "CPU s": round(cpu, 2),
        "wall s": round(wall, 2),
        "peak MB": round(peak),
    }
    for label, tissue in enumerate(TISSUES, start=1):
        ours, theirs = labels == label, expected == label
        both = np.count_nonzero(ours & theirs)
        row[f"Dice {tissue}"] = f"{2 * both / (np.count_nonzero(ours) + np.count_nonzero(theirs)):.5f}"
    for label, tissue in enumerate(TISSUES, start=1):
        volume, wanted = (np.count_nonzero(found == label) * voxel_ml for found in (labels, expected))
        row[f"{tissue} mL"] = f"{volume:.1f} ({100 * (volume / wanted - 1):+.2f} %)"
    return row


def run(engine: str, image: Path, mask: Path) -> tuple[np.ndarray, float, float, float, float]:
    """Labels, mL a voxel, CPU and wall seconds, and the process's peak memory in MB."""
    from core.images import load_image, load_mask, voxel_sizes, voxel_volume_ml

    segmenter = SEGMENTERS[engine]
    segmenter(*small_brain())
    voxels, affine = load_image(image)
    brain, _ = load_mask(mask)
    cpu, wall = time.process_time(), time.perf_counter()
    labels = segmenter(voxels, brain, voxel_sizes(affine))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return labels, voxel_volume_ml(affine), cpu, wall, peak_mb()


def peak_mb() -> float:
    """This process's peak memory in MB.

    Linux's own count: `ru_maxrss` of a new process starts at what its parent took.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def small_brain() -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Three nested balls with noise, 6 mm voxels: something to compile with."""
    distance = np.linalg.norm(np.indices((24, 24, 24)) - 11.5, axis=0)
    image = np.select([distance < 6, distance < 9, distance < 11], [1300.0, 800.0, 300.0])
    image += np.random.default_rng(0).normal(0, 30, image.shape)
    return image.astype(np.float32), distance < 11, (6.0, 6.0, 6.0)


def ours(engine: str) -> Segmenter:
    """An engine of this project."""

    def segmenter(image: np.ndarray, mask: np.ndarray, voxel_sizes: Sequence[float]) -> np.ndarray:
        from segmentation import labels_at, segment

        return labels_at(segment(image, mask, voxel_sizes, engine=engine), threshold=THRESHOLD)

    return segmenter


def atropos(image: np.ndarray, mask: np.ndarray, voxel_sizes: Sequence[float]) -> np.ndarray:
    """ANTs Atropos with its usual settings: k-means start, Markov field 0.2 over direct neighbors."""
    import ants

    spacing = [float(size) for size in voxel_sizes]
    found = ants.atropos(
        a=ants.from_numpy(image, spacing=spacing),
        x=ants.from_numpy(mask.astype(np.float32), spacing=spacing),
        i="KMeans[3]",
        m="[0.2,1x1x1]",
        c="[5,0]",
    )
    maps = [posterior.numpy() for posterior in found["probabilityimages"]]
    maps.sort(key=lambda posterior: float((posterior * image)[mask].sum() / posterior[mask].sum()))
    labels = np.zeros(image.shape, dtype=np.uint8)
    for label, posterior in enumerate(maps, start=1):
        labels[(posterior > THRESHOLD) & mask] = label
    return labels


SEGMENTERS: dict[str, Segmenter] = {
    "hmrf": ours("hmrf"),
    "gmm": ours("gmm"),
    "unified": ours("unified"),
    "Atropos": atropos,
}


if __name__ == "__main__":
    sys.exit(main())
