"""Regions of the brain that need no atlas: the blocks of a coarse grid over the study's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.images import voxel_sizes

if TYPE_CHECKING:
    import pandas as pd

EDGE_MM = 50.0
"""Of a block: some fifty of them hold a brain, each enough of it for its volumes to be more than noise."""

LEAST_ML = 1.0
"""Of a tissue in a region by RAW, mean of all scans: less is an edge of the brain, a percent of which is noise."""


def blocks(shape: tuple[int, int, int], affine: np.ndarray) -> tuple[np.ndarray, int]:
    """The block, 0 upwards, of each voxel (X, Y, Z), int32, and how many blocks there are.

    A corner of eight blocks lies at the middle of the grid, so that the halves of a brain there fall into different
    ones. `affine` is (4, 4), voxel to mm.
    """
    numbers = []
    for count, size in zip(shape, voxel_sizes(affine), strict=True):
        from_middle = (np.arange(count) - (count - 1) / 2) * size
        along = np.floor(from_middle / EDGE_MM).astype(np.int32)
        numbers.append(along - along.min())
    x, y, z = (int(along.max()) + 1 for along in numbers)
    first, second, third = np.ix_(*numbers)
    return (first * y + second) * z + third, x * y * z


def of_scans(regions: pd.DataFrame) -> pd.DataFrame:
    """The rows of scans, rescans left out."""
    return regions[~regions["rescan"].astype(bool)]


def of_rescanned(regions: pd.DataFrame) -> pd.DataFrame:
    """The rows of scans and rescans of whom was scanned again on a scanner."""
    again = regions["rescan"].astype(bool)
    return regions[again.groupby([regions["subject"], regions["scanner"]]).transform("any")]


def large_enough(regions: pd.DataFrame, column: str) -> pd.DataFrame:
    """The regions and tissues, a row each, of which a scan has `LEAST_ML` or more on average.

    `regions` has region, tissue and `column`, mL, of one arm's scans.
    """
    means = regions.groupby(["tissue", "region"], sort=False)[column].mean()
    return means[means >= LEAST_ML].index.to_frame(index=False)
