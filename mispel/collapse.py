"""Dead and collapsed outputs and diverged losses, seen while training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.errors import Caution
from mispel.errors import TrainingError

SMALLEST_ACTIVE_SHARE = 0.01
"""Of an output's brain voxels that aren't 0."""
SMALLEST_CONTRAST = 0.1
"""An output's standard deviation in the brain, as a share of its scans'."""

LARGEST_RISE = 10
"""A loss that is more than so many times its least has left the way down."""


class OutputWatch:
    """Sums over an epoch's outputs in the brain, by scanner, that show a dead or collapsed output."""

    def __init__(self, scanners: tuple[str, ...], device: torch.device) -> None:
        self.scanners = scanners
        self.sums = torch.zeros(6, len(scanners), dtype=torch.float64, device=device)

    def add(self, images: Tensor, outputs: Tensor, depths: Tensor) -> None:
        """Count a batch: images and outputs (B, M, H, W), and how deep in the brain their voxels lie."""
        self.sums += output_sums(images, outputs, depths)

    def check(self, when: str, *, settled: bool = True) -> None:
        """Raise `TrainingError` naming scanner, time and number when an output died or lost its contrast.

        After so few steps that an output may still be flat (not `settled`) this is a warning.
        """
        sums = self.sums.cpu().numpy()
        if not np.isfinite(sums).all():
            raise TrainingError(
                f"{when}: the outputs are no longer finite; lower --param learning_rate (the paper's is 0.001)"
            )
        for scanner, of_scanner in zip(self.scanners, sums.T, strict=True):
            fault = _fault(*of_scanner)
            if fault is not None and settled:
                raise TrainingError(f"{when}: the output of scanner '{scanner}' {fault}")
            if fault is not None:
                warnings.warn(f"{when}: the output of scanner '{scanner}' {fault}", Caution, stacklevel=2)


def output_sums(images: Tensor, outputs: Tensor, depths: Tensor) -> Tensor:
    """Of a batch's voxels in the brain, by scanner (6, M): how many, how many of them active, and both moments."""
    brain = depths.gt(0)
    inside, scans = outputs.detach() * brain, images * brain
    terms = (brain, inside.abs() > 1e-6, inside, inside.square(), scans, scans.square())
    return torch.stack([term.sum(dim=(0, 2, 3), dtype=torch.float64) for term in terms])


def rise(totals: Sequence[float]) -> bool:
    """Whether the latest of a step's losses is far above the least of those before it, or isn't finite."""
    return len(totals) > 1 and not totals[-1] <= LARGEST_RISE * min(totals[:-1])


def check_losses(when: str, totals: Sequence[float], *, last: bool, advice: str) -> None:
    """Look at the losses of a step's epochs so far: warn where the latest has risen far, for a spike may pass.

    Raises `TrainingError`, with the `advice`, where it had risen the epoch before already, or this epoch is the last.
    """
    if not rise(totals):
        return
    told = f"{when}: the loss rose from {min(totals[:-1]):.3g} to {totals[-1]:.3g}"
    if last or rise(totals[:-1]):
        raise TrainingError(f"{told}: the training diverged; {advice}")
    warnings.warn(f"{told}; the training ends if it stays there", Caution, stacklevel=2)


def _fault(
    voxels: float, active: float, total: float, squares: float, total_in: float, squares_in: float
) -> str | None:
    """What is wrong with an output, by its sums and the scans' over brain voxels, and what to do; None if nothing."""
    voxels = max(voxels, 1)
    share = active / voxels
    if share < SMALLEST_ACTIVE_SHARE:
        return (
            f"is dead, {100 * share:.2g} % of its brain voxels are not 0; use --param decoder=linear, another seed, "
            "or a lower --param lambda4 beside lambda3"
        )
    deviation = math.sqrt(max(squares / voxels - (total / voxels) ** 2, 0.0))
    deviation_in = math.sqrt(max(squares_in / voxels - (total_in / voxels) ** 2, 0.0))
    if deviation < SMALLEST_CONTRAST * deviation_in:
        return (
            f"lost its contrast, its standard deviation in the brain is {deviation:.3g} where the scans' is "
            f"{deviation_in:.3g}; train longer, raise lambda1 beside lambda2 or lambda3 beside lambda4, or use "
            "another seed"
        )
    return None
