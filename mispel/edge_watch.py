"""Whether outputs are darker, or brighter, at the brain's edge than like intensities deeper in it became."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from core.brain_edge import LARGEST_EDGE_BIAS, in_layer
from mispel.parameters import Settings


class EdgeWatch:
    """Sums over all slices, by scanner, that give the bias at the brain's edge.

    Harmonizing changes contrast, and the edge is mostly cerebrospinal fluid. So the edge's change is held against
    what its intensities are changed by deeper in the brain, as a line through the changes there has it.
    """

    def __init__(self, scanners: tuple[str, ...], device: torch.device) -> None:
        self.scanners = scanners
        self.sums = torch.zeros(10, len(scanners), dtype=torch.float64, device=device)

    def add(self, images: Tensor, outputs: Tensor, depths: Tensor) -> None:
        """Count a batch: images and outputs (B, M, H, W), and how deep in the brain their voxels lie."""
        change = outputs.detach() - images
        brain, outer, deep = depths.gt(0), in_layer(depths, "1"), in_layer(depths, "deeper")
        outer_images, deep_images = images * outer, images * deep
        terms = (
            *(brain, images * brain),
            *(outer, outer_images, change * outer),
            *(deep, deep_images, change * deep, deep_images * images, deep_images * change),
        )
        self.sums += torch.stack([term.sum(dim=(0, 2, 3), dtype=torch.float64) for term in terms])

    def biases(self) -> dict[str, float | None]:
        """By scanner the outermost layer's mean change beyond that of like intensities deeper, over the brain's mean.

        None where no scan has brain as deep as that.
        """
        found = {scanner: _bias(*sums) for scanner, sums in zip(self.scanners, self.sums.T.tolist(), strict=True)}
        return {scanner: bias if math.isfinite(bias) else None for scanner, bias in found.items()}


def _bias(
    voxels: float,
    total: float,
    outer: float,
    outer_total: float,
    outer_change: float,
    deep: float,
    deep_total: float,
    deep_change: float,
    deep_squares: float,
    deep_products: float,
) -> float:
    """The bias by counts of voxels and sums of intensities, changes, squares and products; NaN without voxels."""
    if not (outer and deep and total):
        return math.nan
    mean, change = deep_total / deep, deep_change / deep
    variance = deep_squares / deep - mean**2
    slope = (deep_products / deep - mean * change) / variance if variance > 0 else 0.0
    expected = change + slope * (outer_total / outer - mean)
    return (outer_change / outer - expected) / (total / voxels)


def edge_caution(biases: dict[str, float | None], parameters: Settings) -> str | None:
    """What to say of biases at the edge and what to do about them; None where they are small."""
    large = {scanner: bias for scanner, bias in biases.items() if bias is not None and abs(bias) > LARGEST_EDGE_BIAS}
    if not large:
        return None
    remedies = ["use --param outside=nearest"] if parameters.outside == "zero" else []
    return (
        "the network changes the brain's outermost layer of voxels otherwise than like intensities deeper in it, by "
        f"{', '.join(f'{bias:+.2f} ({scanner})' for scanner, bias in large.items())} of the brain's mean, and volumes "
        f"of cerebrospinal fluid with it; {' or '.join([*remedies, 'train longer (--param step1_epochs)'])}"
    )
