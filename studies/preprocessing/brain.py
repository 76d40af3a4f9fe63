"""Where the brain is in a native scan: skull-stripped already, given, or found by the network deepbet."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from scipy import ndimage

from core.brain import brain_of
from core.errors import InputError
from core.images import load_mask, voxel_sizes, voxel_volume_ml
from studies.brain_size import POSSIBLE_ML, USUAL_ML
from studies.preprocessing.arrays import reorient
from studies.preprocessing.options import PreprocessOptions

Way = Literal["atlas", "given", "stripped", "deepbet"]

WORDS: dict[Way, str] = {
    "atlas": "by the atlas's mask, carried over by the registration",
    "given": "by a given mask",
    "stripped": "skull-stripped, kept as it is",
    "deepbet": "whole head, its brain found by deepbet",
}
"""How the brain of an image is found, for people."""

LEAST_BORDER = 0.5
"""Share of an image's border that its background's one value fills: all of it in 21 skull-stripped images (18 people of
one study, another person twice, an atlas), 0.08 and 0.37 in two heads with the noise of air. Heads whose air was set
to 0 have it too (0.85 and 0.93)."""

LAYER_MM = 2.0
DEEPEST = 1 / 3
"""How deep the layers go, as a share of the radius of a ball of that volume: deeper lie a small brain's ventricles."""

MOST_FALL = 0.1
"""By how much the intensity may fall from one layer below the surface to a deeper one: a scalp lies over a dark skull.
It fell by 20 and 68 % in the two heads without air, by 50 % in one of them shrunk to a small child's 1550 mL and cut
off at the neck, and nowhere in the 21 skull-stripped images."""

MOST_NEGATIVE = 0.01
"""Share of the brain that may be below 0, as interpolation leaves some voxels."""


def way_of(image: np.ndarray, affine: np.ndarray, options: PreprocessOptions) -> Way:
    """How the brain of an image (X, Y, Z) is found: what the options say or, with `auto`, what the image shows."""
    if options.brain != "auto":
        return options.brain
    return "stripped" if is_stripped(image, affine) else "deepbet"


def is_stripped(image: np.ndarray, affine: np.ndarray) -> bool:
    """Whether an image (X, Y, Z) shows a brain alone, on a background of one value.

    What stands out from the background is then no larger than a brain is, and no dark skull lies below its surface.
    Told on voxels of about `LAYER_MM`.
    """
    step = np.maximum(np.round(LAYER_MM / voxel_sizes(affine)), 1).astype(int)
    thinned = image[tuple(slice(every // 2, None, every) for every in step)]
    grid = affine @ np.diag([*step, 1.0])
    empty = background(thinned)
    there = foreground(thinned, empty)
    if empty is None or there is None or there.sum() * voxel_volume_ml(grid) > USUAL_ML[1]:
        return False
    return largest_fall(thinned - empty, there, voxel_sizes(grid)) <= MOST_FALL


def background(image: np.ndarray) -> float | None:
    """The one value that fills most of an image's border; None where none does."""
    faces = [np.take(image, [0, -1], axis=axis).ravel() for axis in range(image.ndim)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    return float(values[counts.argmax()]) if counts.max() >= LEAST_BORDER * counts.sum() else None


def foreground(image: np.ndarray, empty: float | None) -> np.ndarray | None:
    """The largest connected part of what isn't the background `empty`, holes filled, bool (X, Y, Z); or None."""
    if empty is None:
        return None
    labels, count = ndimage.label(image != empty)
    if count == 0:
        return None
    return ndimage.binary_fill_holes(labels == 1 + np.bincount(labels.ravel())[1:].argmax())


def largest_fall(image: np.ndarray, mask: np.ndarray, edges: np.ndarray) -> float:
    """The largest fall of the median intensity from a layer below the mask's surface to a deeper one, as a share.

    `image` (X, Y, Z) is 0 where it is background; `edges` (3,) are a voxel's, in mm.
    """
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    mask, image = mask[box], image[box]
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=edges)[1:-1, 1:-1, 1:-1]
    radius = (3 * mask.sum() * edges.prod() / (4 * np.pi)) ** (1 / 3)
    bounds = np.arange(0, DEEPEST * radius, LAYER_MM)
    layers = (image[(depth > bound) & (depth <= bound + LAYER_MM)] for bound in bounds)
    medians = np.array([np.median(layer) for layer in layers if layer.size])
    highest = np.maximum.accumulate(medians)
    if highest[0] <= 0:
        # darker than its background: no brain's surface is
        return 1.0
    return float((1 - medians / highest).max())


def own_mask(
    image_file: Path, image: np.ndarray, affine: np.ndarray, options: PreprocessOptions, mask_file: Path | None
) -> np.ndarray | None:
    """The brain mask that doesn't need the atlas, bool (X, Y, Z), or None where the atlas's is to be used.

    Raises `InputError` for an image whose brain can't be found so, or is below 0.
    """
    way = way_of(image, affine, options)
    if way == "atlas":
        return None
    if way == "given":
        mask = _given_mask(image_file, image, affine, mask_file)
    elif way == "deepbet":
        mask = deepbet_mask(image_file, image, affine, options.threads)
    else:
        mask = _stripped_mask(image_file, image, affine)
    negative = float((image[mask] < 0).mean())
    if negative > MOST_NEGATIVE:
        raise InputError(
            f"{image_file}: {negative:.0%} of its brain is below 0, which a scanner's magnitude image never is; give "
            "the image as the scanner made it"
        )
    return mask


def _given_mask(image_file: Path, image: np.ndarray, affine: np.ndarray, mask_file: Path | None) -> np.ndarray:
    if mask_file is None:
        raise InputError(f"{image_file}: no mask was given for it; brain: given wants one a scan")
    mask, mask_affine = reorient(*load_mask(mask_file))
    if mask.shape != image.shape or np.abs(mask_affine - affine).max() > 1e-2:
        raise InputError(f"{mask_file}: not on the grid of {image_file}; resample it onto that")
    return brain_of(image, mask > 0, f"{mask_file}, the mask of {image_file}")


def _stripped_mask(image_file: Path, image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    mask = foreground(image, background(image))
    if mask is None:
        raise InputError(
            f"{image_file}: its border isn't of one value, so it isn't skull-stripped; set brain: auto, deepbet or "
            "atlas"
        )
    volume = mask.sum() * voxel_volume_ml(affine)
    if volume > POSSIBLE_ML[1]:
        raise InputError(
            f"{image_file}: {volume:.0f} mL stand out from its background, a brain has at most {POSSIBLE_ML[1]:.0f}: "
            "it isn't skull-stripped; set brain: auto, deepbet or atlas"
        )
    return mask


def deepbet_mask(image_file: Path, image: np.ndarray, affine: np.ndarray, threads: int) -> np.ndarray:
    """The brain as the network deepbet finds it, bool (X, Y, Z); its weights lie in its wheel.

    Fisch et al., "deepbet: Fast brain extraction of T1-weighted MRI using convolutional neural networks", Computers
    in Biology and Medicine 179:108845, 2024. Raises `InputError` where it finds none.
    """
    import torch
    from deepbet.bet import BrainExtraction

    # another number adds in another order
    torch.set_num_threads(threads)
    try:
        _, mask, _ = BrainExtraction(no_gpu=True).run(nib.Nifti1Image(image, affine))
    except (AssertionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{image_file}: deepbet found no brain in it ({error}); look at it, and give its mask (brain: given) or "
            "leave the scan out"
        ) from None
    return np.asarray(mask.dataobj) > 0
