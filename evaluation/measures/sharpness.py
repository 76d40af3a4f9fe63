"""How steep the border between gray and white matter is: what a blur takes away.

The slope across the border is averaged with its sign, so noise, which is as often up as down, adds
nothing to it; measures by the size of the gradient or by high frequencies take noise for detail. (The
idea is that of the edge response in photography, ISO 12233.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from evaluation.measures.interface import Measure, Person, Summary

TABLE = "sharpness"
MEASURES = (
    Measure(
        name="sharpness",
        label="Sharpness",
        unit="1/mm",
        lowest=-math.inf,
        highest=math.inf,
        better="higher",
        definition=(
            "Mean slope of the intensity across the border of gray and white matter, over the difference of the "
            "tissues' means; 0 for an image that knows no border. To be compared within a study: it depends on the "
            "voxels' size."
        ),
        table=TABLE,
        column="sharpness",
        summary=Summary(asks="kept"),
    ),
)
SMOOTHING = 1.0
"""Of the labels, in voxels, before the border's direction is taken from them."""


@dataclass(frozen=True)
class Border:
    """Voxels next to both tissues: `places` (B,) in the flattened box, `normals` (3, B) of length 1 towards WM."""

    places: np.ndarray
    normals: np.ndarray


def border(white: np.ndarray, gray: np.ndarray, voxel_sizes: Sequence[float]) -> Border:
    """The border of white and gray matter, bool (X, Y, Z): voxels that touch both, but for those on the box's rim."""
    near = widened(white) & widened(gray)
    inner = np.zeros_like(near)
    inner[1:-1, 1:-1, 1:-1] = near[1:-1, 1:-1, 1:-1]
    places = np.flatnonzero(inner)
    difference = white.astype(np.float32) - gray.astype(np.float32)
    smooth = ndimage.gaussian_filter(difference, SMOOTHING, mode="nearest", truncate=2.0)
    slopes = np.stack(list(slopes_at(smooth, places, voxel_sizes)))
    lengths = np.sqrt(np.square(slopes).sum(axis=0))
    there = lengths > 0
    return Border(places[there], slopes[:, there] / lengths[there])


def widened(region: np.ndarray) -> np.ndarray:
    """A region (X, Y, Z), bool, and all that touches it, corners too; ten times faster than a filter of 27 voxels."""
    found = region
    for axis in range(3):
        line = np.moveaxis(found, axis, 0)
        wide = line.copy()
        wide[1:] |= line[:-1]
        wide[:-1] |= line[1:]
        found = np.moveaxis(wide, 0, axis)
    return found


def slopes_at(image: np.ndarray, places: np.ndarray, voxel_sizes: Sequence[float]) -> Iterator[np.ndarray]:
    """Slopes (B,) per mm along x, y and z of an image (X, Y, Z) at inner voxels (B,) of it flattened.

    They are central differences.
    """
    flat = image.ravel()
    for stride, size in zip((image.shape[1] * image.shape[2], image.shape[2], 1), voxel_sizes, strict=True):
        yield (flat[places + stride] - flat[places - stride]) / np.float32(2 * size)


def sharpness(image: np.ndarray, found: Border, contrast: float, voxel_sizes: Sequence[float]) -> float:
    """Mean slope of an image (X, Y, Z) across a border over the contrast, mean WM minus mean GM; in 1/mm.

    Unchanged by an affine map of the intensities; higher is sharper. A step from one voxel to the next
    along an axis gives 1/(2 x its size). NaN without a border or contrast.
    """
    if not len(found.places) or not abs(contrast) > 0:
        return math.nan
    slopes = slopes_at(image, found.places, voxel_sizes)
    across = sum(np.dot(slope, normal) for slope, normal in zip(slopes, found.normals, strict=True))
    return float(across / len(found.places) / contrast)


def of_person(person: Person) -> list[dict]:
    """A row a scan."""
    white, gray = person.tissues["WM"], person.tissues["GM"]
    found = border(white, gray, person.voxel_sizes)
    tissues = [np.flatnonzero(white), np.flatnonzero(gray)]
    rows = []
    for scanner, image in person.images.items():
        means = [image.ravel()[tissue].mean(dtype=np.float64) if tissue.size else math.nan for tissue in tissues]
        slope = sharpness(image, found, means[0] - means[1], person.voxel_sizes)
        rows.append({"scanner": scanner, "sharpness": slope})
    return rows
