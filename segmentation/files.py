"""Segmenting one image file by hand.  Imports little, so that little memory is used beside the engine's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images import check_same_grid, load_image, load_mask, save_image, save_labels, voxel_sizes
from segmentation.interface import segment
from segmentation.thresholds import labels_at


def segment_file(
    image: Path,
    mask: Path,
    out: Path,
    *,
    engine: str,
    rule: str,
    threshold: float,
    threads: int,
    posteriors: Path | None = None,
    bias: Path | None = None,
) -> None:
    """Segment an image, intensities as given, and write its labels; posteriors (X, Y, Z, 3) and bias if asked."""
    check_same_grid(mask, image)
    brain, affine = load_mask(mask)
    found = segment(
        load_image(image)[0],
        brain,
        voxel_sizes(affine),
        engine=engine,
        threads=threads,
        partial_volumes=rule == "partial_volume",
        name=str(image),
    )
    labels = labels_at(found, rule, threshold)
    if bias is not None and found.bias_field is None:
        raise InputError(f"engine {found.engine} estimates no bias field; use hmrf or fsl, or leave out --bias")
    if posteriors is not None:
        save_image(posteriors, np.moveaxis(found.posteriors, 0, -1), affine)
    if bias is not None:
        save_image(bias, found.bias_field, affine)
    save_labels(out, labels, affine)
