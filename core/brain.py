"""Which voxels are brain: those of the mask that their image doesn't show as background."""

from __future__ import annotations

import numpy as np

from core.errors import InputError, remark

LARGEST_BACKGROUND = 0.25
"""Share of a mask that may be background. On a brain at 2 mm a mask one voxel too wide on every side has 14 %, two
voxels 24 %; one of the whole grid has 69 % and an inverted one all."""

LARGEST_MISMATCH = 0.04
"""Share of a mask that may be background while as much of the image's brain lies outside it. A mask moved by one voxel
of 2 mm has 2.7 % of both, by two 5.4 %; another person's had 4.9 %, one mirrored left to right 7.3 %."""

WHOLE_HEAD = 0.5
"""An image with more than this share of a mask's voxels outside the mask, above its background, isn't brain-extracted:
half of a brain is the least that the rest of a head has."""

SAMPLE = 20_000
"""Voxels by which the background's values are found."""

NEARLY_ONE_VALUE = 0.02
"""Share of the brain's mean that a background of nearly one value may lie beside it, as the ringing of an image that
was resampled after its extraction. Air in a whole head has noise of more, and no brain is that dark."""

SPREADS = 8
"""How many times the median distance from the median most of such a background lies from it: of noise of any sign 5.4
standard deviations, of a magnitude's 3.6."""


def brain_of(image: np.ndarray, mask: np.ndarray, where: str) -> np.ndarray:
    """The brain of an image (X, Y, Z) under its mask (X, Y, Z), bool: what is neither 0 nor of the background's values.

    What the image says against the mask is told as a remark that begins with `where`: voxels of the mask that are
    background, and voxels of a brain-extracted image that lie outside the mask. Raises `InputError` for a mask that is
    far too wide, or that isn't this image's.
    """
    values = background_of(image, mask)
    there = image != 0
    if values is not None and any(values):
        there &= (image < values[0]) | (image > values[1])
    brain: np.ndarray = mask & there
    size = int(np.count_nonzero(mask))
    background = size - int(np.count_nonzero(brain))
    left_out = 0 if values is None else int(np.count_nonzero(there & ~mask))
    if left_out > WHOLE_HEAD * size:
        left_out = 0
    told = []
    if background:
        told.append(
            f"{background} of the mask's {size} voxels ({background / size:.2%}) are background of the image, and "
            "taken as no brain"
        )
    if left_out:
        told.append(
            f"{left_out} voxels of the image ({left_out / size:.2%} of the mask) are neither background nor in the "
            "mask, and left out"
        )
    if background > LARGEST_BACKGROUND * size:
        raise InputError(
            f"{where}: {told[0].partition(',')[0]}, at most {LARGEST_BACKGROUND:.0%} may be: it is no brain mask, or "
            "another image's; give this brain's"
        )
    if min(background, left_out) > LARGEST_MISMATCH * size:
        raise InputError(
            f"{where}: {'; '.join(told)}; more than {LARGEST_MISMATCH:.0%} of both come of a mask that was moved, "
            "mirrored or made for another scan: give this brain's"
        )
    if told:
        remark(f"{where}: {'; '.join(told)}")
    return brain


def background_of(image: np.ndarray, mask: np.ndarray) -> tuple[float, float] | None:
    """The lowest and highest value of the background outside a mask (X, Y, Z), by a sample; None: it has no such.

    They are the one value that more than half of the voxels there have, or what lies around their median where that
    is next to nothing beside the brain (`NEARLY_ONE_VALUE`).
    """
    step = max(1, round((image.size / SAMPLE) ** (1 / 3)))
    few = (slice(None, None, step),) * 3
    outside, inside = image[few][~mask[few]], image[few][mask[few]]
    if not outside.size:
        return None
    # what more than half of them are is their median
    median = _middle(outside)
    if 2 * np.count_nonzero(outside == median) > outside.size:
        return median, median
    distance = SPREADS * _middle(np.abs(outside - median))
    near = inside.size > 0 and distance <= NEARLY_ONE_VALUE * abs(float(inside.mean(dtype=np.float64)) - median)
    return (median - distance, median + distance) if near else None


def _middle(values: np.ndarray) -> float:
    """The value in the middle of some, one of them."""
    return float(np.partition(values, values.size // 2)[values.size // 2])
