"""All encoders' passes, forward and back, by `mispel.encoder_kernels`: a layer of all of them at a time.

Maps are (M, B, H, W, C), embeddings float32: what `mispel.network.unet` computes, but that a map in bfloat16 is rounded
once, after its activation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mispel.encoder_kernels import (
    ENLARGE,
    ENLARGE_BACK,
    PLAIN,
    PLAIN_BACK,
    Weights,
    convolve,
    correlate,
    pool,
    unpool,
)
from mispel.flat_weights import Computed, EnlargingKernels, FlatWeights
from mispel.network import ENLARGING, SLOPE

FILLED = 8
"""The last layer's maps are filled up to a multiple of this."""


class AllAtOnce(Computed):
    """Encoders by kernels that compute a layer of all of them, in some precision, the last one in float32.

    Float32 is multiplied as TF32.
    """

    def __init__(self, flat: FlatWeights, precision: torch.dtype) -> None:
        self.flat, self.precision = flat, precision
        self.copies = torch.empty_like(flat.values, dtype=precision)
        self.enlarging = EnlargingKernels(flat, precision)
        # the last layer's maps filled up, so that several of a pixel are read at once
        last = flat.shapes[-2]
        self.filled = flat.values.new_zeros(len(flat.values), FILLED * -(-last[0] // FILLED), 9, last[1])
        self.filled_biases = flat.values.new_zeros(self.filled.shape[:2])
        # gradients are taken of all rows at once
        self.leaf = flat.values.detach().requires_grad_()
        self.last = len(flat.shapes) // 2 - 1
        begins = [sum(flat.sizes[:number]) for number in range(len(flat.sizes))]
        self.weights = [self._weights(layer, begins[2 * layer]) for layer in range(self.last + 1)]
        self.biases = [
            flat.values[:, begin : begin + size] for begin, size in zip(begins[1:-2:2], flat.sizes[1:-2:2], strict=True)
        ]
        self.biases.append(self.filled_biases)

    def _weights(self, layer: int, begin: int) -> Weights:
        outputs, inputs, *_ = self.flat.shapes[2 * layer]
        if layer in ENLARGING:
            kernels = self.enlarging.of_layer[layer]
            return Weights(kernels, 0, kernels.stride(0), outputs, 16 * outputs, 1)
        if layer == self.last:
            return Weights(self.filled, 0, self.filled.stride(0), inputs, 1, 9 * inputs)
        return Weights(self.copies, begin, self.copies.stride(0), inputs, 1, 9 * inputs)

    def _precise(self, layer: int) -> bool:
        return layer == self.last or self.precision == torch.float32

    def refresh(self) -> None:
        """Cast the weights and sum up the kernels."""
        with torch.no_grad():
            self.copies.copy_(self.flat.values)
            self.enlarging.refresh()
            *_, (maps, *_), _ = self.flat.shapes
            self.filled[:, :maps].copy_(self.flat.weights(self.last).flatten(2, 3))
            self.filled_biases[:, :maps].copy_(self.flat.values[:, -maps:])

    def leaves_of(self, scanned: Sequence[int]) -> list[Tensor]:
        """The rows of all encoders."""
        return [self.leaf]

    def embed(self, images: Tensor, scanned: Sequence[int]) -> Tensor:
        """Embeddings (B, M, L, H, W), float32, of slices (B, M, H, W)."""
        by_encoder: Tensor = _Passes.apply(self.leaf, images.transpose(0, 1).to(self.precision).contiguous(), self)
        return by_encoder[..., : self.flat.shapes[-1][0]].permute(1, 0, 4, 2, 3)

    def gradients(self, found: Sequence[Tensor], scanned: Sequence[int]) -> Sequence[Tensor]:
        """Rows (P,)."""
        return [found[0][number] for number in scanned]

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embeddings (M, B, H, W, L) of images (M, B, H, W), filled up with 0, and what going back needs."""
        encoders, slices, height, width = images.shape
        width_of_maps = self.flat.shapes[0][0]

        def empty(factor: int, channels: int, dtype: torch.dtype = self.precision) -> Tensor:
            return images.new_empty(encoders, slices, height // factor, width // factor, channels, dtype=dtype)

        def layer(number: int, source: Tensor, result: Tensor) -> Tensor:
            enlarges = number in ENLARGING
            return convolve(
                source,
                self.weights[number],
                result,
                ENLARGE if enlarges else PLAIN,
                biases=self.biases[number],
                active=not enlarges,
                precise=self._precise(number),
            )

        narrow, middle, wide = width_of_maps, 2 * width_of_maps, 4 * width_of_maps
        # what goes over to the other side lies where that wants it, beside what is enlarged
        over1, over2 = empty(1, 2 * narrow), empty(2, 2 * middle)
        source = images[..., None]
        down1 = layer(0, source, empty(1, narrow))
        skipped1 = layer(1, down1, over1[..., :narrow])
        pooled1, chosen1 = pool(skipped1)
        down2 = layer(2, pooled1, empty(2, middle))
        skipped2 = layer(3, down2, over2[..., :middle])
        pooled2, chosen2 = pool(skipped2)
        bottom1 = layer(4, pooled2, empty(4, wide))
        bottom2 = layer(5, bottom1, empty(4, wide))
        layer(6, bottom2, over2[..., middle:])
        up2 = layer(7, over2, empty(2, middle))
        up2_end = layer(8, up2, empty(2, middle))
        layer(9, up2_end, over1[..., narrow:])
        up1 = layer(10, over1, empty(1, narrow))
        up1_end = layer(11, up1, empty(1, narrow))
        made = layer(12, up1_end, empty(1, self.filled.shape[1], torch.float32))
        sources = [source, down1, pooled1, down2, pooled2, bottom1, bottom2, over2, up2, up2_end, over1, up1, up1_end]
        return made, [*sources, chosen1, chosen2, made]

    def backward(self, kept: Sequence[Tensor], gradient: Tensor) -> Tensor:
        """The gradient (M, P) of all weights by that of the embeddings (M, B, H, W, L)."""
        *sources, chosen1, chosen2, made = kept
        found: list[Tensor] = [torch.empty(0)] * (2 * len(sources))

        def learn(number: int, gradient: Tensor) -> None:
            enlarges = number in ENLARGING
            reach = ENLARGE if enlarges else PLAIN
            of_weights, of_biases = correlate(sources[number], gradient, reach, precise=self._precise(number))
            if enlarges:
                of_weights = self.enlarging.of_weights(of_weights)
            maps = self.flat.shapes[2 * number][0]
            found[2 * number : 2 * number + 2] = of_weights[:, :maps].flatten(1), of_biases[:, :maps]

        def back(number: int, gradient: Tensor, *, gated: bool = True) -> Tensor:
            """By the sums before the activation whose result this layer has; not gated, by its inputs."""
            learn(number, gradient)
            source = sources[number]
            return convolve(
                gradient,
                self.weights[number].back(),
                source.new_empty(source.shape),
                ENLARGE_BACK if number in ENLARGING else PLAIN_BACK,
                gate=source if gated else None,
                precise=self._precise(number),
            )

        gradient = torch.where(made > 0, gradient, SLOPE * gradient).contiguous()
        for number in (12, 11):
            gradient = back(number, gradient)
        over1 = back(10, gradient, gated=False)
        narrow = over1.shape[-1] // 2
        gradient = over1[..., narrow:]
        for number in (9, 8):
            gradient = back(number, gradient)
        over2 = back(7, gradient, gated=False)
        middle = over2.shape[-1] // 2
        gradient = over2[..., middle:]
        for number in (6, 5):
            gradient = back(number, gradient)
        gradient = back(4, gradient, gated=False)
        gradient = unpool(gradient, chosen2, beside=over2[..., :middle], gate=sources[7][..., :middle])
        gradient = back(2, back(3, gradient), gated=False)
        gradient = unpool(gradient, chosen1, beside=over1[..., :narrow], gate=sources[10][..., :narrow])
        learn(0, back(1, gradient))
        return torch.cat(found, dim=1)


class _Passes(torch.autograd.Function):
    """`AllAtOnce` for autograd: the gradient by the weights, all of them in one array."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, images: Tensor, encoders: AllAtOnce) -> Tensor:
        made, kept = encoders.forward(images)
        ctx.encoders = encoders
        ctx.save_for_backward(*kept)
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.encoders.backward(ctx.saved_tensors, gradients[0]), None, None
