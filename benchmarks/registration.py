"""Registrations side by side, on real scans that are skull-stripped: overlap with the atlas's tissues, folding, time.

    python -m benchmarks.registration IMAGE ... [--methods syn greedy] [--voxel-size-mm 2]

Printed for each image and registration are the CPU seconds of the registration, affine included; Dice of the scan's
tissues (engine `hmrf`, on its own grid), carried onto the atlas, with the atlas's; and of the warp's Jacobian over the
atlas's brain the least value, the share at or below 0 (folded) and the SD of its logarithm. The atlas is nilearn's
ICBM152; a voxel is of the tissue that is most likely there. Then their means, and how often greedy came out ahead.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from core.atlas import atlas_affine, read_atlas
from core.images import load_image, scale_to_mean, voxel_sizes
from core.jobs.command import progress
from core.names import TISSUES
from evaluation.measures.overlap import dice
from segmentation.interface import segment
from studies.preprocessing.arrays import bias_field, load_ants, reorient, sample, smooth_for, to_ants
from studies.preprocessing.atlas import Atlas, load_atlas
from studies.preprocessing.brain import own_mask
from studies.preprocessing.options import PreprocessOptions
from studies.preprocessing.registration import Transforms, carry, register_brain

METHODS = {
    "affine": {"registration": "affine"},
    "syn": {"registration": "syn"},
    "syn_cc": {"registration": "syn", "syn_metric": "cc"},
    "greedy": {"registration": "greedy"},
}


def atlas_tissues(atlas: Atlas) -> np.ndarray:
    """The most likely tissue of each of the atlas's voxels, 1 to 3, int (X, Y, Z); 0 outside its brain."""
    maps = []
    for tissue in ("gm", "wm"):
        probability, affine = reorient(read_atlas(tissue), atlas_affine())
        maps.append(sample(smooth_for(probability, affine, float(atlas.grid.affine[0, 0])), affine, atlas.grid))
    found = np.argmax([np.maximum(1 - sum(maps), 0), *maps], axis=0) + 1
    return np.where(atlas.mask, found, 0)


def overlaps(
    labels: np.ndarray, affine: np.ndarray, transforms: Transforms, atlas: Atlas, wanted: np.ndarray
) -> dict[str, float]:
    """By tissue the Dice of a scan's labels (X, Y, Z), 1 to 3, carried onto the atlas, with the atlas's."""
    shares = [carry((labels == place).astype(np.float32), affine, transforms, atlas.grid) for place in (0, 1, 2, 3)]
    found = np.where(atlas.mask, np.argmax(shares, axis=0), 0)
    return {tissue: dice(found == place, wanted == place) for place, tissue in enumerate(TISSUES, start=1)}


def folding(transforms: Transforms, atlas: Atlas) -> dict[str, float]:
    """The warp's Jacobian determinant over the atlas's brain; nothing where there is no warp."""
    if not transforms.warp.exists():
        return {}
    grid = to_ants(atlas.image, atlas.grid.affine)
    volumes = load_ants().create_jacobian_determinant_image(grid, str(transforms.warp)).numpy()[atlas.mask]
    return {
        "least": float(volumes.min()),
        "folded": float((volumes <= 0).mean()),
        "sd_log": float(np.log(volumes[volumes > 0]).std()),
    }


def rows(image_file: Path, methods: list[str], voxel_size_mm: float) -> list[dict]:
    """A row a registration of one image."""
    plain = PreprocessOptions(voxel_size_mm=voxel_size_mm, brain="stripped")
    atlas = load_atlas(plain)
    image, affine = reorient(*load_image(image_file))
    mask = own_mask(image_file, image, affine, plain, None)
    assert mask is not None
    brain = np.where(mask, image / bias_field(image, mask, affine), np.float32(0))
    labels = segment(scale_to_mean(brain, mask, "brain") * 1000, mask, voxel_sizes(affine)).labels
    wanted = atlas_tissues(atlas)
    found = []
    for method in methods:
        options = PreprocessOptions(voxel_size_mm=voxel_size_mm, brain="stripped", **METHODS[method])
        with tempfile.TemporaryDirectory() as scratch:
            start = time.process_time()
            transforms = register_brain(brain, affine, atlas, options, Path(scratch))
            spent = time.process_time() - start
            found.append(
                {"image": image_file.name.partition("_T1w")[0], "method": method, "cpu_s": spent}
                | overlaps(labels, affine, transforms, atlas, wanted)
                | folding(transforms, atlas)
            )
    return found


def ahead(table: pd.DataFrame) -> pd.DataFrame:
    """On how many of the images greedy has the better value than each other registration, by column."""
    signs = pd.Series({**dict.fromkeys((*TISSUES, "least"), 1), **dict.fromkeys(("cpu_s", "folded", "sd_log"), -1)})
    by_image = {method: part.set_index("image")[signs.index] * signs for method, part in table.groupby("method")}
    greedy = by_image.pop("greedy")
    return pd.DataFrame({method: (greedy > other).sum() for method, other in by_image.items()}).T


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, help="skull-stripped T1-weighted images")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["syn", "greedy"], help="default: syn greedy")
    parser.add_argument("--voxel-size-mm", type=float, default=2.0, help="of the registration (default: 2)")
    given = parser.parse_args()
    load_ants()
    made = []
    for image in progress(given.images, what="images registered", total=len(given.images)):
        made += rows(image, given.methods, given.voxel_size_mm)
        print(pd.DataFrame(made[-len(given.methods) :]).round(3).to_string(index=False, header=False), flush=True)
    table = pd.DataFrame(made)
    print(table.round(3).to_string(index=False))
    print(table.drop(columns="image").groupby("method").agg(["mean", "min", "max"]).T.round(3).to_string())
    if "greedy" in given.methods:
        print(f"greedy ahead, of {len(given.images)} images:")
        print(ahead(table).to_string())


if __name__ == "__main__":
    main()
