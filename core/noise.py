"""How much of an image is noise, told from the voxels of a brain alone."""

from __future__ import annotations

import math

import numpy as np


def noise_sd(image: np.ndarray, centers: np.ndarray) -> float:
    """The SD of the noise in an image (X, Y, Z), in its unit, by how `centers` (X, Y, Z), bool, leave their neighbors.

    Along an axis a voxel's second difference, next - 2 x voxel + last, over the root of 6 has the noise's variance,
    and is blind to a straight slope (Gasser, Sroka and Jennen-Steinmetz 1986); of these the median size x 1.4826, the
    SD of normal noise, which the few on borders of tissues hardly move (Donoho and Johnstone 1994 take it of a
    wavelet's). It is the least of three axes, since interpolation smooths some: noise that neighbors share isn't seen,
    and borders, where there are many, raise it. A center on the box's rim doesn't count along that axis; NaN without
    any. Not scikit-image's `estimate_sigma`, which takes no mask and needs PyWavelets.
    """
    values, places = image.ravel(), np.flatnonzero(centers)
    found = []
    for size, stride in zip(image.shape, (image.shape[1] * image.shape[2], image.shape[2], 1), strict=True):
        along = places // stride % size
        inner = places[(along > 0) & (along < size - 1)]
        if inner.size:
            here = values[inner]
            second = ((values[inner + stride] - here) - (here - values[inner - stride])) / np.sqrt(np.float32(6))
            found.append(1.4826 * float(np.median(np.abs(second))))
    return min(found, default=math.nan)
