"""A volume as one picture: its axial slices beside one another, from which a page can cut any slice of three planes."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

QUALITY = 75
"""Of JPEG: a picture of a simulated scan of 2.7 mm is 4 of 255 gray levels from its image on average."""

LEVEL = 80
"""The gray level of label 1, half of that of label 2."""


def cubes(image: np.ndarray, edges_mm: np.ndarray, edge_mm: float) -> np.ndarray:
    """An image (X, Y, Z) on cubes of that edge, float32; shrunk it is smoothed first, so that nothing is skipped."""
    shape = _shape(image.shape, edges_mm, edge_mm)
    values = image.astype(np.float32)
    shrunk = np.divide(image.shape, shape)
    smooth = ndimage.gaussian_filter(values, np.maximum(0, (shrunk - 1) / 2), mode="nearest")
    return ndimage.zoom(smooth, 1 / shrunk, order=1, mode="nearest", grid_mode=True)


def cubes_of_labels(labels: np.ndarray, edges_mm: np.ndarray, edge_mm: float) -> np.ndarray:
    """Labels (X, Y, Z) on cubes of that edge, each the label at its center."""
    shape = _shape(labels.shape, edges_mm, edge_mm)
    places = [
        ((np.arange(after) + 0.5) * before / after).astype(int)
        for before, after in zip(labels.shape, shape, strict=True)
    ]
    return labels[np.ix_(*places)]


def _shape(shape: Sequence[int], edges_mm: np.ndarray, edge_mm: float) -> tuple[int, ...]:
    return tuple(max(1, round(size * float(edge) / edge_mm)) for size, edge in zip(shape, edges_mm, strict=True))


def to_bytes(pixels: np.ndarray, gray: tuple[float, float]) -> np.ndarray:
    """Intensities as 0..255 between the ends of a gray scale; exact zeros, the background, are black."""
    scaled = np.clip((pixels - gray[0]) / (gray[1] - gray[0]), 0, 1)
    return np.where(pixels == 0, 0, np.round(255 * scaled)).astype(np.uint8)


def columns(slices: int) -> int:
    """How many slices lie in a row of the picture."""
    return math.ceil(math.sqrt(slices))


def sheet(volume: np.ndarray) -> np.ndarray:
    """The picture (rows, columns) of a canonical volume (X, Y, Z), uint8: axial slices, the lowest first.

    Each as one looks at it: front at the top, the subject's left on the left.
    """
    across = columns(volume.shape[2])
    down = -(-volume.shape[2] // across)
    width, height = volume.shape[:2]
    picture = np.zeros((down * height, across * width), np.uint8)
    for place in range(volume.shape[2]):
        row, column = divmod(place, across)
        axial = np.rot90(volume[:, :, place])
        picture[row * height : (row + 1) * height, column * width : (column + 1) * width] = axial
    return picture


def jpeg(picture: np.ndarray) -> str:
    """A picture (rows, columns), uint8, as JPEG in base64."""
    return _written(Image.fromarray(picture), "JPEG", quality=QUALITY, optimize=True)


def png(picture: np.ndarray) -> str:
    """A picture (rows, columns) of values 0 to 3, uint8, as PNG in base64: the gray levels are 80 times the values."""
    image = Image.fromarray(picture, "P")
    image.putpalette([level for value in range(4) for level in 3 * (LEVEL * value,)])
    return _written(image, "PNG", bits=2)


def _written(picture: Image.Image, kind: str, **options: int | bool) -> str:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return base64.b64encode(stream.getvalue()).decode("ascii")
