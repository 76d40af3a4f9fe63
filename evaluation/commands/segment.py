"""`segment`: one image by hand. Imports little, so that little memory is used beside the engine's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from core.brain import brain_of
from core.errors import InputError
from core.images import check_same_grid, load_image, load_mask, save_image, save_labels, voxel_sizes
from core.names import TISSUES
from evaluation.commands._segmentation import add_segmentation_options
from segmentation.interface import segment
from segmentation.spread import IN_DOUBT, reaches
from segmentation.thresholds import labels_at

HELP = "segment one image, intensities as given"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which image, by which segmentation, and what to write."""
    parser.add_argument("--image", type=Path, required=True, help="T1-weighted NIfTI")
    parser.add_argument("--mask", type=Path, required=True, help="its brain mask")
    parser.add_argument("--out", type=Path, required=True, help="labels to write: 0 none, 1 CSF, 2 GM, 3 WM")
    parser.add_argument("--posteriors", type=Path, help="4-D NIfTI of CSF, GM, WM to write")
    parser.add_argument("--bias", type=Path, help="NIfTI of the bias field to write")
    add_segmentation_options(parser)


def main(arguments: argparse.Namespace) -> None:
    """Segment an image and write its labels; posteriors (X, Y, Z, 3) and bias if asked."""
    check_same_grid(arguments.mask, arguments.image)
    image, affine = load_image(arguments.image)
    mask, _ = load_mask(arguments.mask)
    found = segment(
        image,
        brain_of(image, mask, f"{arguments.mask}, the mask of {arguments.image}"),
        voxel_sizes(affine),
        engine=arguments.engine,
        threads=arguments.threads,
        partial_volumes=arguments.rule == "partial_volume",
        name=str(arguments.image),
    )
    for tissue, reach in zip(TISSUES, reaches(found.means, found.variances), strict=True):
        if reach >= IN_DOUBT:
            print(
                f"warning: {arguments.image}: the class of {tissue} took mixed voxels of its neighbors, as it does "
                f"where noise is low (reach {reach:.2f}; 0.5 is half-way to a neighbor's mean): these labels say "
                "little",
                file=sys.stderr,
            )
    labels = labels_at(found, arguments.rule, arguments.threshold)
    if arguments.bias is not None and found.bias_field is None:
        raise InputError(f"engine {found.engine} estimates no bias field; use hmrf or fsl, or leave out --bias")
    if arguments.posteriors is not None:
        save_image(arguments.posteriors, np.moveaxis(found.posteriors, 0, -1), affine)
    if arguments.bias is not None and found.bias_field is not None:
        save_image(arguments.bias, found.bias_field, affine)
    save_labels(arguments.out, labels, affine)
