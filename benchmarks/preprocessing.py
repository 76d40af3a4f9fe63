"""What is left of what was done to a simulated travelling-subject study, after its preprocessing.

    python -m benchmarks.preprocessing [--voxel-size-mm 2] [--out FOLDER]

Two made-up people on three scanners, one scan missing: rotated, shifted, with a bias field, on other
voxels, one stored flipped (`tests/support/travelling.py`). Printed for each pair of one person's scans is how far
apart the same place of the person comes to lie, in mm over the brain, before and after; and for each
scan the SD of the logarithm of its bias field, before and after the correction.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from core.images import load_image, load_mask
from core.run_folder import StudyFolder, scan_name
from studies.part_sheets import gather
from studies.preprocessing import arrays
from studies.preprocessing.atlas import load_atlas
from studies.preprocessing.options import PreprocessOptions
from studies.preprocessing.registration import Transforms
from studies.sources import source
from tests.support import travelling

POINTS = 4000


def places_in_person(folder: Path, name: str, rigid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where points (n, 3) of the atlas, in mm, lie in the person's own space by a scan's transforms."""
    ants = arrays.load_ants()
    flipped = pd.DataFrame(points * [-1, -1, 1], columns=["x", "y", "z"])
    files = Transforms.of_folder(folder / "transforms" / name).to_atlas()
    native = ants.apply_transforms_to_points(3, flipped, files)[["x", "y", "z"]].to_numpy() * [-1, -1, 1]
    return nib.affines.apply_affine(np.linalg.inv(rigid), native)


def misalignment(folder: Path, truths: dict, options: PreprocessOptions) -> pd.DataFrame:
    """Of each pair of one person's scans the distance in mm over the brain, before and after."""
    atlas = load_atlas(options)
    brain = nib.affines.apply_affine(atlas.grid.affine, np.argwhere(atlas.mask))
    points = brain[np.random.default_rng(0).choice(len(brain), min(POINTS, len(brain)), replace=False)]
    rows = []
    for subject in dict.fromkeys(subject for subject, _ in truths):
        found = {
            scanner: places_in_person(folder, scan_name(subject, scanner), truth.rigid, points)
            for (person, scanner), truth in truths.items()
            if person == subject
        }
        for first, second in itertools.combinations(found, 2):
            own = found[first]
            apart = [nib.affines.apply_affine(truths[subject, scanner].rigid, own) for scanner in (first, second)]
            before = np.linalg.norm(apart[0] - apart[1], axis=1)
            after = np.linalg.norm(found[first] - found[second], axis=1)
            rows.append(
                {
                    "subject": subject,
                    "pair": f"{first}-{second}",
                    "before_mm": before.mean(),
                    "median_mm": np.median(after),
                    "mean_mm": after.mean(),
                    "p95_mm": np.percentile(after, 95),
                }
            )
    return pd.DataFrame(rows)


def residual_bias(folder: Path, truths: dict, dataset: Path) -> pd.DataFrame:
    """Of each scan the SD of the logarithm of its bias field over the brain, before and after."""
    rows = []
    for (subject, scanner), truth in truths.items():
        image = next(dataset.glob(f"sub-{subject}/ses-{scanner}/anat/*_T1w.nii*"))
        voxels, affine = arrays.reorient(*load_image(image))
        mask = load_mask(StudyFolder(folder).native_mask(scan_name(subject, scanner)))[0]
        field = arrays.bias_field(voxels, mask, affine)
        both = mask & truth.brain
        rows.append(
            {
                "subject": subject,
                "scanner": scanner,
                "before_sd": np.log(truth.bias[both]).std(),
                "after_sd": np.log(truth.bias[both] / field[both]).std(),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Make the dataset, preprocess it, and print what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxel-size-mm", type=float, default=2.0)
    parser.add_argument("--out", type=Path, help="an empty folder to work in (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = arguments.out or Path(scratch)
        truths = travelling.make(place / "dataset")
        options = {
            "dataset": str(place / "dataset"),
            "scanner": "ses",
            "voxel_size_mm": arguments.voxel_size_mm,
            "brain": "stripped",
        }
        parts = [source("bids").prepare(options, subject, place / "study") for subject in travelling.SUBJECTS]
        gather(parts, place / "study" / "scans.tsv")
        made = PreprocessOptions(voxel_size_mm=arguments.voxel_size_mm, brain="stripped")
        print("Simulated. Misalignment of one person's scans, mm over the brain:")
        print(misalignment(place / "study", truths, made).round(2).to_string(index=False))
        print("Simulated. SD of the logarithm of the bias field over the brain:")
        print(residual_bias(place / "study", truths, place / "dataset").round(4).to_string(index=False))


if __name__ == "__main__":
    main()
