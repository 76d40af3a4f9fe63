"""How deep in the brain a voxel lies, counted in voxels from its edge."""

from __future__ import annotations

from typing import Any

import numpy as np

LAYERS = {"1": (1, 1), "2": (2, 2), "3-4": (3, 4), "deeper": (5, 255)}
"""By name the depths, first and last, of the brain's layers from its edge inward."""
LARGEST_EDGE_BIAS = 0.05
"""An arm whose bias in the outermost layer differs from that deeper by more than this share of the brain's mean
changes what the segmenter finds at the edge: cerebrospinal fluid, most of all."""


def depth(mask: np.ndarray) -> np.ndarray:
    """Of each voxel of a mask (X, Y, Z) how many steps, from face to face, lead out of the brain: uint8, 0 outside.

    1 is the outermost layer. Beyond the image there is no brain. Counts end at 255.
    """
    from scipy import ndimage

    steps = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="taxicab")
    return np.minimum(steps[1:-1, 1:-1, 1:-1], 255).astype(np.uint8)


def in_layer(depths: Any, layer: str) -> Any:
    """The voxels of one of `LAYERS`, bool, by their depths: an array of numpy or of torch, as these are."""
    first, last = LAYERS[layer]
    return (depths >= first) & (depths <= last)
