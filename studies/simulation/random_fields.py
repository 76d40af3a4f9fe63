"""Gaussian random fields that live in millimeters, not in voxels.

A field is white noise on a lattice whose spacing is the field's scale, smoothed there and
interpolated by cubic B-splines. A B-spline is nearly a Gaussian of SD spacing/sqrt(3), and the
lattice smoothing adds the rest, so the whole is noise smoothed by a Gaussian of SD = scale. Two
grids of different voxel size sample the same field, and a wide field costs almost nothing. Own code,
since gstools and the like neither tie fields to a seed by name nor keep within a second.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

_MARGIN = 4
"""Lattice nodes beyond the box, so that smoothing and splines never see an edge."""

_LATTICE_SD = math.sqrt(2 / 3)
"""Nodes; with the spline's variance of 1/3 it makes a Gaussian of SD one spacing."""

_UNIT = (2 * math.sqrt(math.pi)) ** 1.5
"""Brings white noise smoothed by a Gaussian of SD one node back to variance 1: per axis the squared
weights sum to 1/(2 sqrt(pi))."""


def random_field(
    random: np.random.Generator, shape: tuple[int, ...], voxel_size_mm: float, scale_mm: float
) -> np.ndarray:
    """A Gaussian random field of mean 0 and variance 1 (in expectation), float32 of `shape`.

    Parameters
    ----------
    random : the source of the noise; the draws depend on the box and `scale_mm` alone.
    shape : (X, Y, Z) voxels of the grid, which fills a box of shape x voxel_size_mm.
    voxel_size_mm : edge of its voxels.
    scale_mm : SD of the Gaussian that smooths the noise; at least `voxel_size_mm` / 2.
    """
    nodes = [math.ceil(n * voxel_size_mm / scale_mm) + 2 * _MARGIN for n in shape]
    noise = random.standard_normal(nodes, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, _LATTICE_SD, mode="constant")
    positions = [(np.arange(n) + 0.5) * (voxel_size_mm / scale_mm) + (_MARGIN - 0.5) for n in shape]
    return np.float32(_UNIT) * spline(noise, positions)


def spline(coefficients: np.ndarray, positions: list[np.ndarray]) -> np.ndarray:
    """Evaluate a cubic B-spline on a grid, float32.

    Parameters
    ----------
    coefficients : (A, B, C), a node at every integer; the outermost nodes go on for ever.
    positions : for each axis the increasing coordinates of the grid's planes, in nodes.
    """
    # the last axis first, while the array is small: taking along it is the slowest
    for axis, at in reversed(list(enumerate(positions))):
        node = np.floor(at).astype(np.intp)
        t = at - node
        weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]).astype(
            np.float32
        ) / np.float32(6)
        column = [1, 1, 1]
        column[axis] = -1
        total: np.ndarray = np.zeros((), dtype=np.float32)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            index = np.clip(node + offset, 0, coefficients.shape[axis] - 1)
            total = total + np.take(coefficients, index, axis=axis) * weight.reshape(column)
        coefficients = total
    return coefficients


def enlarge(field: np.ndarray, factor: int) -> np.ndarray:
    """Bring a smooth field (A, B, C) onto a grid of `factor` times as many voxels in the same box.

    The B-spline doesn't pass through the values: it smooths by a Gaussian of SD 0.58 old voxels.
    """
    return spline(field, [(np.arange(n * factor) + 0.5) / factor - 0.5 for n in field.shape])
