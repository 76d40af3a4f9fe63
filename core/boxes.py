"""Boxes of images: around what isn't 0, cut out, and put back."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType

import numpy as np

Span = tuple[int, int]
"""The first voxel of a box along an axis, and the one after its last."""

Index = tuple[EllipsisType | slice, ...]
"""What cuts a box out of an image's last axes."""


def spans(mask: np.ndarray) -> tuple[Span, ...] | None:
    """The smallest box that holds every true voxel of a mask of any number of axes; None where there is none."""
    found = []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if filled.size == 0:
            return None
        found.append((int(filled[0]), int(filled[-1]) + 1))
    return tuple(found)


def cut(image: np.ndarray, box: Sequence[Span]) -> np.ndarray:
    """The box of an image, along its last axes; 0 where it reaches beyond the image; an array of its own."""
    leading = image.shape[: image.ndim - len(box)]
    part = np.zeros((*leading, *(stop - start for start, stop in box)), image.dtype)
    here, there = _overlap(image.shape[len(leading) :], box)
    part[there] = image[here]
    return part


def paste(part: np.ndarray, box: Sequence[Span], shape: Sequence[int]) -> np.ndarray:
    """The inverse of `cut`: an image of that shape along its last axes, 0 outside the box."""
    leading = part.shape[: part.ndim - len(box)]
    image = np.zeros((*leading, *shape), part.dtype)
    here, there = _overlap(shape, box)
    image[here] = part[there]
    return image


def _overlap(shape: Sequence[int], box: Sequence[Span]) -> tuple[Index, Index]:
    """Where box and image overlap, in the image's coordinates and in the box's."""
    here: list[EllipsisType | slice] = [...]
    there: list[EllipsisType | slice] = [...]
    for (start, stop), size in zip(box, shape, strict=True):
        first = max(start, 0)
        last = max(first, min(max(stop, 0), size))
        here.append(slice(first, last))
        there.append(slice(first - start, last - start))
    return tuple(here), tuple(there)
