"""MISPEL's Step 1 and Step 2 as plainly as they can be written: what tests and the bench measure the fast ones against.

Float32, contiguous memory, one joint graph over all scanners, one optimizer, Step 2 encoding anew in
every epoch. Complete studies only, losses over the whole box.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn


class PlainEncoder(nn.Module):
    """A 2-D U-Net of three levels; its parameters are in the order of `mispel.network.Encoder`'s."""

    def __init__(self, width: int, embeddings: int) -> None:
        super().__init__()
        sizes = [
            (1, width),
            (width, width),
            (width, 2 * width),
            (2 * width, 2 * width),
            (2 * width, 4 * width),
            (4 * width, 4 * width),
            (4 * width, 2 * width),
            (4 * width, 2 * width),
            (2 * width, 2 * width),
            (2 * width, width),
            (2 * width, width),
            (width, width),
            (width, embeddings),
        ]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in sizes)
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.activation = nn.LeakyReLU(0.3)

    def forward(self, slices: Tensor) -> Tensor:
        """Embeddings (B, L, H, W) of slices (B, 1, H, W)."""
        layers, activation = self.layers, self.activation
        fine = activation(layers[1](activation(layers[0](slices))))
        middle = activation(layers[3](activation(layers[2](self.pool(fine)))))
        coarse = activation(layers[5](activation(layers[4](self.pool(middle)))))
        middle = torch.cat([middle, layers[6](self.upsample(coarse))], 1)
        middle = activation(layers[8](activation(layers[7](middle))))
        fine = torch.cat([fine, layers[9](self.upsample(middle))], 1)
        fine = activation(layers[11](activation(layers[10](fine))))
        return activation(layers[12](fine))


class PlainMispel:
    """M encoders and decoders, trained on slices (N, M, H, W)."""

    def __init__(self, scanners: int, width: int, embeddings: int, learning_rate: float = 1e-3) -> None:
        self.encoders = nn.ModuleList(PlainEncoder(width, embeddings) for _ in range(scanners))
        self.coefficients = nn.Parameter(torch.full((scanners, embeddings), 1 / embeddings))
        self.step1 = torch.optim.Adam([*self.encoders.parameters(), self.coefficients], lr=learning_rate)
        self.step2 = torch.optim.Adam([self.coefficients], lr=learning_rate)

    def load(self, encoders: list[nn.Module]) -> None:
        """Take over the weights of other encoders, parameter by parameter."""
        for mine, theirs in zip(self.encoders, encoders, strict=True):
            for target, source in zip(mine.parameters(), theirs.parameters(), strict=True):
                target.data.copy_(source.data)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, M, L, H, W) and outputs (B, M, H, W)."""
        embeddings = torch.stack([encoder(images[:, [i]]) for i, encoder in enumerate(self.encoders)], 1)
        return embeddings, (embeddings * self.coefficients[None, :, :, None, None]).sum(2)

    def learn_embeddings(self, images: Tensor, lambda1: float, lambda2: float) -> float:
        """One step of Step 1 by Eq. 4; returns the loss."""
        embeddings, outputs = self.forward(images)
        loss = lambda1 * self.reconstruction(images, outputs) + lambda2 * embeddings.var(1, unbiased=False).mean()
        self.step1.zero_grad()
        loss.backward()
        self.step1.step()
        return loss.item()

    def fit_decoders(self, images: Tensor, lambda3: float, lambda4: float) -> float:
        """One step of Step 2 by Eq. 6, encoding anew; returns the loss."""
        with torch.no_grad():
            embeddings = self.forward(images)[0]
        outputs = (embeddings * self.coefficients[None, :, :, None, None]).sum(2)
        pairs = list(combinations(range(images.shape[1]), 2))
        harmonization = sum((outputs[:, i] - outputs[:, k]).abs().mean() for i, k in pairs) / len(pairs)
        loss = lambda3 * self.reconstruction(images, outputs) + lambda4 * harmonization
        self.step2.zero_grad()
        loss.backward()
        self.step2.step()
        return loss.item()

    @staticmethod
    def reconstruction(images: Tensor, outputs: Tensor) -> Tensor:
        """Eq. 2."""
        errors = ((images[:, i] - outputs[:, i]).abs().mean() for i in range(images.shape[1]))
        return sum(errors, start=torch.zeros(()))


def plain_cut(volume: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Axial slices of a volume (X, Y, Z) in a box (top, bottom, left, right), 0 beyond the volume."""
    top, bottom, left, right = box
    out = np.zeros((volume.shape[2], bottom - top, right - left), volume.dtype)
    for row in range(top, bottom):
        for column in range(left, right):
            if 0 <= row < volume.shape[0] and 0 <= column < volume.shape[1]:
                out[:, row - top, column - left] = volume[row, column]
    return out
