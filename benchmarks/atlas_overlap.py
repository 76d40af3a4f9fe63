"""How well preprocessed scans lie on the atlas: Dice of their gray and white matter with the atlas's own.

    python -m studies preprocess DATASET --out FOLDER ...
    python -m benchmarks.atlas_overlap FOLDER --dataset DATASET [--voxel-size-mm 2]

Each scan is segmented on its own grid (engine `hmrf`), and its tissues are brought onto the atlas's grid
three ways: shifted so that the brains' centers meet, by the affine, and by the affine and SyN's warp. The
atlas is nilearn's ICBM152; a voxel is a tissue's where its probability is above one half.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from core.atlas import atlas_affine, read_atlas
from core.images import load_image, load_mask, scale_to_mean, voxel_sizes
from core.jobs.command import progress
from core.names import TISSUES
from core.run_folder import StudyFolder, scan_name
from evaluation.measures.overlap import dice
from segmentation.interface import segment
from studies.bids.images import read_images
from studies.bids.options import BidsOptions
from studies.bids.scans import BidsScan, study_scans
from studies.preprocessing.arrays import Grid, bias_field, reorient, sample, smooth_for
from studies.preprocessing.atlas import Atlas, load_atlas
from studies.preprocessing.options import PreprocessOptions
from studies.preprocessing.registration import Transforms, carry

COMPARED = ("GM", "WM")


def atlas_tissues(atlas: Atlas) -> dict[str, np.ndarray]:
    """The atlas's tissues on its grid, bool (X, Y, Z)."""
    found = {}
    for tissue in COMPARED:
        probability, affine = reorient(read_atlas(tissue.lower()), atlas_affine())
        found[tissue] = shown_on(probability, affine, atlas.grid) > 0.5
    return found


def shown_on(image: np.ndarray, affine: np.ndarray, grid: Grid) -> np.ndarray:
    """An image (X, Y, Z) on another grid by its place in mm alone."""
    return sample(smooth_for(image, affine, float(grid.affine[0, 0])), affine, grid)


def overlaps(image: np.ndarray, mask: np.ndarray, affine: np.ndarray, transforms: Transforms, atlas: Atlas) -> dict:
    """Dice with the atlas's tissues of a native image (X, Y, Z) and its brain mask, a step of the registration each."""
    brain = scale_to_mean(np.where(mask, image / bias_field(image, mask, affine), 0), mask, "brain") * 1000
    labels = segment(brain, mask, voxel_sizes(affine)).labels
    centers = [
        nib.affines.apply_affine(place, np.argwhere(there).mean(axis=0))
        for place, there in ((affine, mask), (atlas.grid.affine, atlas.mask))
    ]
    moved = affine.copy()
    moved[:3, 3] += centers[1] - centers[0]
    linear = Transforms(transforms.affine, transforms.warp.with_name("none"), transforms.inverse_warp)
    wanted, found = atlas_tissues(atlas), {}
    for tissue in COMPARED:
        own = (labels == 1 + TISSUES.index(tissue)).astype(np.float32)
        for step, there in (
            ("before", shown_on(own, moved, atlas.grid)),
            ("affine", carry(own, affine, linear, atlas.grid)),
            ("after", carry(own, affine, transforms, atlas.grid)),
        ):
            found[f"{tissue} {step}"] = dice(there > 0.5, wanted[tissue])
    return found


def scans_of(dataset: Path) -> list[BidsScan]:
    """A dataset's scans under the names that `preprocess` gave them where it has one a person."""
    options = BidsOptions(dataset=str(dataset), scanner="one")
    return study_scans(options, read_images(str(dataset)))


def rows(folder: Path, dataset: Path, atlas: Atlas) -> Iterator[dict]:
    """A row a scan of the dataset that was preprocessed into `folder`."""
    there = [
        scan
        for scan in scans_of(dataset)
        if StudyFolder(folder).native_mask(scan_name(scan.subject, scan.scanner)).exists()
    ]
    for scan in progress(there, what="scans compared", total=len(there)):
        name = scan_name(scan.subject, scan.scanner)
        image, affine = reorient(*load_image(scan.image))
        mask = load_mask(StudyFolder(folder).native_mask(name))[0] > 0
        transforms = Transforms.of_folder(folder / "transforms" / name)
        yield {"subject": scan.subject, **overlaps(image, mask, affine, transforms, atlas)}


def main() -> None:
    """Print the table, and its mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="that was preprocessed into")
    parser.add_argument("--dataset", type=Path, required=True, help="the BIDS folder it was made from")
    parser.add_argument("--voxel-size-mm", type=float, default=2.0, help="of the preprocessing (default: 2)")
    given = parser.parse_args()
    atlas = load_atlas(PreprocessOptions(voxel_size_mm=given.voxel_size_mm))
    table = pd.DataFrame(rows(given.folder, given.dataset, atlas)).set_index("subject")
    table.loc["mean"] = table.mean()
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
