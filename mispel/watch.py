"""Dead and collapsed outputs, seen while training."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from mispel.errors import TrainingError

SMALLEST_ACTIVE_SHARE = 0.01
"""Of an output's brain voxels that aren't 0."""
SMALLEST_CONTRAST = 0.1
"""An output's standard deviation in the brain, as a share of its scans'."""


class OutputWatch:
    """Sums over an epoch's outputs in the brain, by scanner, that show a dead or collapsed output."""

    def __init__(self, scanners: tuple[str, ...], device: torch.device) -> None:
        self.scanners = scanners
        self.sums = torch.zeros(6, len(scanners), dtype=torch.float64, device=device)

    def add(self, images: Tensor, outputs: Tensor) -> None:
        """Count a batch: images and outputs (B, M, H, W)."""
        outputs = outputs.detach()
        brain = images.ne(0)
        inside = outputs * brain
        terms = (brain, inside.abs() > 1e-6, inside, inside.square(), images, images.square())
        self.sums += torch.stack([term.sum(dim=(0, 2, 3), dtype=torch.float64) for term in terms])

    def check(self, when: str) -> None:
        """Raises `TrainingError` naming scanner, time and number when an output died or lost its contrast."""
        sums = self.sums.cpu().numpy()
        if not np.isfinite(sums).all():
            raise TrainingError(
                f"{when}: the outputs are no longer finite; lower --param learning_rate (the paper's is 0.001)"
            )
        voxels, active, total, squares, total_in, squares_in = sums
        for number, scanner in enumerate(self.scanners):
            n = max(voxels[number], 1)
            share = active[number] / n
            if share < SMALLEST_ACTIVE_SHARE:
                raise TrainingError(
                    f"{when}: the output of scanner '{scanner}' is dead, {100 * share:.2g} % of its brain voxels are "
                    "not 0; use --param decoder=linear, another seed, or a lower --param lambda4 beside lambda3"
                )
            deviation, deviation_in = (
                math.sqrt(max(square / n - (mean / n) ** 2, 0.0))
                for mean, square in ((total[number], squares[number]), (total_in[number], squares_in[number]))
            )
            if deviation < SMALLEST_CONTRAST * deviation_in:
                raise TrainingError(
                    f"{when}: the output of scanner '{scanner}' lost its contrast, its standard deviation in the brain "
                    f"is {deviation:.3g} where the scans' is {deviation_in:.3g}; train longer, raise lambda1 beside "
                    "lambda2 or lambda3 beside lambda4, or use another seed"
                )
