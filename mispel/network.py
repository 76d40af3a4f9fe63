"""MISPEL's networks: a 2-D U-Net encoder and a linear decoder for each scanner (paper, section 3.1).

The U-Net's details, which the paper leaves open, are those of the authors' published network: two
max-pools, two 3x3 convolutions a level, LeakyReLU of slope 0.3, no normalization, nearest-neighbor
upsampling and a 3x3 convolution without activation before each skip concatenation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.3
SIZE_STEP = 4
"""Height and width must be divisible by this, for the two max-pools."""
ENLARGING = (6, 9)
"""Which of an encoder's layers enlarge their maps twofold."""


def activate(values: Tensor) -> Tensor:
    """LeakyReLU of slope 0.3, in place."""
    return functional.leaky_relu(values, SLOPE, inplace=True)


def convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps height and width."""
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)


class Level(nn.Module):
    """The weights of two 3x3 convolutions, each followed by LeakyReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = convolution(channels_in, channels_out)
        self.second = convolution(channels_out, channels_out)


class Encoder(nn.Module):
    """U-Net of one scanner: slices (B, 1, H, W) to embeddings (B, L, H, W), float32; H and W divisible by 4.

    `inputs`: channels of the slices, where they aren't images.
    """

    def __init__(self, *, width: int, embeddings: int, inputs: int = 1) -> None:
        super().__init__()
        self.down1 = Level(inputs, width)
        self.down2 = Level(width, 2 * width)
        self.bottom = Level(2 * width, 4 * width)
        self.widen2 = convolution(4 * width, 2 * width)
        self.up2 = Level(4 * width, 2 * width)
        self.widen1 = convolution(2 * width, width)
        self.up1 = Level(2 * width, width)
        self.last = convolution(width, embeddings)

    def layers(self) -> list[nn.Conv2d]:
        """In the order in which slices go through them, which is that of the parameters."""
        return [layer for layer in self.modules() if isinstance(layer, nn.Conv2d)]

    def forward(self, slices: Tensor) -> Tensor:
        """Embeddings (B, L, H, W) of slices (B, 1, H, W)."""
        kernels = [
            (enlarging_kernel(layer.weight) if number in ENLARGING else layer.weight, layer.bias)
            for number, layer in enumerate(self.layers())
        ]
        return unet(slices, kernels)


def unet(slices: Tensor, kernels: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor:
    """What an encoder computes: embeddings (B, L, H, W), float32, of slices (B, 1, H, W).

    kernels: weights and bias of each layer in turn; those of layers that enlarge as `enlarging_kernel` makes them.
    """
    layers = iter(kernels)

    def level(values: Tensor) -> Tensor:
        for _ in range(2):
            values = activate(functional.conv2d(values, *next(layers), padding=1))
        return values

    fine = level(slices)
    middle = level(functional.max_pool2d(fine, 2))
    coarse = level(functional.max_pool2d(middle, 2))
    middle = level(torch.cat([middle, enlarged(coarse, *next(layers))], dim=1))
    fine = level(torch.cat([fine, enlarged(middle, *next(layers))], dim=1))
    # the decoder sums embeddings of both signs: rounding them to 8 bits would show in the image
    with torch.autocast(slices.device.type, enabled=False):
        return activate(functional.conv2d(fine.float(), *next(layers), padding=1))


def enlarged(values: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """A 3x3 convolution of features (B, C, H, W) enlarged twofold by nearest neighbors, (B, C', 2H, 2W).

    The enlarged features are never made. A pixel's nine neighbors in them are copies of at most four, whose
    weights add up: that is a transposed convolution with a 4x4 kernel and stride 2, with fewer multiplications.
    """
    return functional.conv_transpose2d(values, kernel, bias, stride=2, padding=1)


def enlarging_kernel(weight: Tensor) -> Tensor:
    """The kernel (C, C', 4, 4) of `enlarged` that weights (C', C, 3, 3) give."""
    return _summed(_summed(weight, dim=2), dim=3).transpose(0, 1)


def _summed(weights: Tensor, dim: int) -> Tensor:
    """Of three weights along an axis the four sums with which one pixel enters its enlarged self and neighbors."""
    first, middle, last = weights.unbind(dim)
    return torch.stack([last, middle + last, first + middle, first], dim)


def initialize(layer: nn.Conv2d, generator: torch.Generator) -> None:
    """Give a convolution Glorot-uniform weights and a zero bias."""
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def new_encoder(*, width: int, embeddings: int, seed: int, inputs: int = 1) -> Encoder:
    """An encoder with Glorot-uniform weights and zero biases, drawn from `seed` alone."""
    encoder = Encoder(width=width, embeddings=embeddings, inputs=inputs)
    generator = torch.Generator().manual_seed(seed)
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            initialize(layer, generator)
    return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it


def new_coefficients(scanners: int, embeddings: int) -> Tensor:
    """Decoder coefficients gamma (M, L) of Eq. 1, all 1/L.

    The published start, normal with standard deviation 0.05, leaves a fifth of ReLU decoders dead.
    """
    return torch.full((scanners, embeddings), 1 / embeddings)


def decode(embeddings: Tensor, coefficients: Tensor, *, relu: bool = False) -> Tensor:
    """Eq. 1: images (B, M, H, W) from embeddings (B, M, L, H, W) and coefficients (M, L).

    With `relu`, cut at 0, as the published code does.
    """
    slices, scanners, maps, height, width = embeddings.shape
    flat = embeddings.reshape(slices, scanners, maps, height * width)
    images = torch.matmul(coefficients[:, None, :], flat).reshape(slices, scanners, height, width)
    return functional.relu(images) if relu else images
