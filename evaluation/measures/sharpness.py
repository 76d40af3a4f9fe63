"""What a blur takes away: the slope of the border between gray and white matter, and power at high frequencies.

The slope across the border is averaged with its sign, so noise, which is as often up as down, adds
nothing to it. (The idea is that of the edge response in photography, ISO 12233.) But it averages over the
edges that survive, and hardly falls where an arm smooths all that is finer. The high-frequency power
falls there; it takes noise for detail, so it is told in units of the noise-free image's, where that is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.names import RAW
from core.roughness import detail, roughness
from evaluation.measures.interface import Measure, Measured, Person, Summary

TABLE = "sharpness"
COLUMNS = ("scanner", "sharpness", "roughness", "detail", "true_detail")
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
    Measure(
        name="high_frequency_power",
        label="High-frequency power",
        lowest=0.0,
        highest=math.inf,
        better="higher",
        definition=(
            "Variance of an image on RAW's scale minus the mean of each voxel's 3x3x3 neighborhood, over the voxels "
            "whose neighborhood is all brain; over that of the same scanner's noise-free, unwarped image, where it is "
            "known, else over that of RAW. Below 1: detail is gone (or, over RAW's, noise). Noise counts as detail, so "
            "more than 1 isn't better."
        ),
        table=TABLE,
        column="high_frequency_power",
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
    from scipy import ndimage

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
        mask = person.masks[scanner]
        truth = person.truth[scanner].image if scanner in person.truth else None
        rows.append(
            {
                "scanner": scanner,
                "sharpness": slope,
                "roughness": roughness(image, mask),
                "detail": detail(image, mask),
                "true_detail": math.nan if truth is None else detail(truth, mask),
            }
        )
    return rows


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """High-frequency power beside sharpness and roughness, a row a scan."""
    table = measured.tables[TABLE]
    scan = ["subject", "scanner"]
    raw = table.loc[table["method"] == RAW, [*scan, "detail"]].rename(columns={"detail": "raw_detail"})
    joined = table.merge(raw, on=scan, how="left", validate="many_to_one")
    power = (joined["detail"] / joined["true_detail"].fillna(joined["raw_detail"])) ** 2
    return {TABLE: table.drop(columns=["detail", "true_detail"]).assign(high_frequency_power=power)}
