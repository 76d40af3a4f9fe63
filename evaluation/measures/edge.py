"""Whether an arm changes the brain's edge otherwise than its inside: its difference from RAW by distance from the edge.

Brain-extracted scans fall to 0 at the edge, where a network or a filter may smooth the brain into the nothing
outside. The outermost voxels are mostly cerebrospinal fluid, so an arm that darkens them moves volumes of that
tissue. Harmonizing may change a tissue's brightness too, but then at the edge as deeper in the brain: the bias at
the edge is taken tissue by tissue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.brain_edge import LAYERS, depth
from core.names import RAW, TISSUES
from evaluation.measures.interface import Measure, Measured, Person

TABLE = "edge"
BIASES = {layer: f"bias_{layer.replace('-', '_')}" for layer in LAYERS}
"""The table's column of each layer."""
OF_TISSUES = tuple(f"{what}_{tissue}" for tissue in TISSUES for what in ("voxels", "outer", "deep"))
COLUMNS = ("scanner", *BIASES.values(), "brain", *OF_TISSUES)
MEASURES = (
    Measure(
        name="edge_bias",
        label="Bias at the brain's edge",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "Mean difference of an arm's image, on RAW's scale by the arm's one affine map, from RAW, over the mean of "
            "RAW's brain: in the outermost layer of voxels (those that touch the outside by a face) minus that in the "
            "fifth layer and deeper, tissue by tissue and weighted by the outermost layer's tissues, which are RAW's "
            "(as of contrast-to-noise where the truth isn't known)."
        ),
    ),
)


def means_of(image: np.ndarray, mask: np.ndarray, tissues: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Means of an image (X, Y, Z) by layer of the brain, over the brain, and of each tissue in the outermost layer
    and deep, with the outermost layer's voxels of that tissue; NaN where there is none."""
    firsts = [first for first, _ in LAYERS.values()]
    layers = np.searchsorted(firsts, depth(mask)[mask], side="right") - 1
    kinds = sum(number * tissues[tissue][mask] for number, tissue in enumerate(TISSUES, start=1))
    size = 1 + len(TISSUES)
    groups = layers * size + kinds
    counts, sums = (
        np.bincount(groups, weights=weights, minlength=len(LAYERS) * size).reshape(len(LAYERS), size)
        for weights in (None, image[mask])
    )
    with np.errstate(invalid="ignore"):
        by_layer, means = sums.sum(axis=1) / counts.sum(axis=1), sums / counts
    found = dict(zip(BIASES.values(), by_layer.tolist(), strict=True)) | {"brain": float(sums.sum() / counts.sum())}
    for number, tissue in enumerate(TISSUES, start=1):
        numbers = (float(counts[0, number]), float(means[0, number]), float(means[-1, number]))
        found |= {f"{what}_{tissue}": value for what, value in zip(("voxels", "outer", "deep"), numbers, strict=True)}
    return found


def of_person(person: Person) -> list[dict]:
    """A row a scan."""
    return [
        {"scanner": scanner, **means_of(image, person.masks[scanner], person.tissues)}
        for scanner, image in person.images.items()
    ]


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Each scan's differences from RAW by layer, and the bias at the edge; none where RAW isn't there."""
    table = measured.tables[TABLE]
    scan = ["subject", "scanner"]
    means = [column for column in table if column not in ("method", *scan)]
    raw = table.loc[table["method"] == RAW, [*scan, *means]]
    joined = table.merge(raw, on=scan, how="left", suffixes=("", "_raw"), validate="many_to_one")
    changes = pd.DataFrame({name: (joined[name] - joined[f"{name}_raw"]) / joined["brain_raw"] for name in means})
    of_tissues = np.stack([changes[f"outer_{tissue}"] - changes[f"deep_{tissue}"] for tissue in TISSUES], axis=1)
    voxels = np.stack([joined[f"voxels_{tissue}"] for tissue in TISSUES], axis=1)
    weights = np.where(np.isfinite(of_tissues), voxels, 0)
    with np.errstate(invalid="ignore"):
        bias = (np.nan_to_num(of_tissues) * weights).sum(axis=1) / weights.sum(axis=1)
    found = joined[["method", *scan]].join(changes[list(BIASES.values())])
    return {TABLE: found.assign(edge_bias=bias)}
