"""All encoders' weights in one array, so that a GPU casts them in one kernel, updates them in one, and so on.

Rows are encoders, P numbers each: the parameters in their order, weights of convolutions with their channels last.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mispel.network import ENLARGING, Encoder, enlarging_kernel, unet


def stored(values: Tensor) -> Tensor:
    """A parameter's numbers in the order of the rows; no copy where its channels lie last already."""
    return values.permute(0, 2, 3, 1).reshape(-1) if values.dim() == 4 else values.reshape(-1)


class FlatWeights:
    """Encoders' weights as one array `values` (M, P), float32: their parameters become views of it."""

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self.shapes = [parameter.shape for parameter in encoders[0].parameters()]
        self.sizes = [shape.numel() for shape in self.shapes]
        with torch.no_grad():
            rows = [torch.cat([stored(parameter) for parameter in encoder.parameters()]) for encoder in encoders]
        self.values = torch.stack(rows)
        for encoder, row in zip(encoders, self.values, strict=True):
            for parameter, view in zip(encoder.parameters(), self.views(row), strict=True):
                parameter.data = view

    def views(self, row: Tensor) -> list[Tensor]:
        """The parts of a row (P,), each as its parameter is shaped."""
        parts = zip(row.split(self.sizes), self.shapes, strict=True)
        return [shaped(part, shape) for part, shape in parts]

    def weights(self, layer: int) -> Tensor:
        """The weights of a layer of every encoder (M, C', 3, 3, C)."""
        begin = sum(self.sizes[: 2 * layer])
        outputs, inputs, *kernel = self.shapes[2 * layer]
        part = self.values[:, begin : begin + self.sizes[2 * layer]]
        return part.unflatten(1, (outputs, *kernel, inputs))


def shaped(part: Tensor, shape: Sequence[int]) -> Tensor:
    """The inverse of `stored`, a view."""
    if len(shape) != 4:
        return part.view(shape)
    outputs, inputs, height, width = shape
    return part.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


class Computed(abc.ABC):
    """How encoders compute with flat weights."""

    @abc.abstractmethod
    def refresh(self) -> None:
        """Take over what the weights have become."""

    @abc.abstractmethod
    def leaves_of(self, scanned: Sequence[int]) -> list[Tensor]:
        """The tensors of which gradients are taken, for some encoders."""

    @abc.abstractmethod
    def embed(self, images: Tensor, scanned: Sequence[int]) -> Tensor:
        """Embeddings (B, M, L, H, W), float32, of slices (B, M, H, W); those not `scanned` are anything finite."""

    @abc.abstractmethod
    def gradients(self, found: Sequence[Tensor], scanned: Sequence[int]) -> Sequence[Tensor]:
        """The gradients of those encoders as rows (P,), float32, by those of `leaves_of`."""


class OneByOne(Computed):
    """Encoders one after the other, or side by side on a stream each.

    leaves: of each encoder the tensors of which gradients are taken.
    """

    leaves: list[list[Tensor]]

    def __init__(self, flat: FlatWeights, *, embeddings: int, streams: Sequence[torch.cuda.Stream]) -> None:
        self.flat, self.count, self.streams = flat, embeddings, streams

    def leaves_of(self, scanned: Sequence[int]) -> list[Tensor]:
        """Of each of those encoders its parameters in turn."""
        return [leaf for number in scanned for leaf in self.leaves[number]]

    def embed(self, images: Tensor, scanned: Sequence[int]) -> Tensor:
        """Embeddings (B, M, L, H, W); 0 of encoders that aren't `scanned`."""
        slices, scanners, *plane = images.shape
        made = []
        for number in range(scanners):
            if number not in scanned:
                made.append(images.new_zeros(slices, self.count, *plane))
                continue
            # one channel, in the strides that tell convolutions that channels lie last
            single = images[:, number].contiguous()[..., None].permute(0, 3, 1, 2)
            with self._stream(number):
                made.append(self.encode(number, single))
        if self.streams:
            for number in scanned:
                torch.cuda.current_stream().wait_stream(self.streams[number])
        return torch.stack(made, dim=1)

    def _stream(self, number: int) -> contextlib.AbstractContextManager[object]:
        if not self.streams:
            return contextlib.nullcontext()
        self.streams[number].wait_stream(torch.cuda.current_stream())
        return torch.cuda.stream(self.streams[number])

    @abc.abstractmethod
    def encode(self, number: int, slices: Tensor) -> Tensor:
        """Embeddings (B, L, H, W), float32, of slices (B, 1, H, W) of scanner `number`."""


class CastWhereUsed(OneByOne):
    """The encoders as they are, every layer casting its weights (autocast)."""

    def __init__(
        self,
        flat: FlatWeights,
        precision: torch.dtype,
        *,
        encoders: Sequence[Encoder],
        embeddings: int,
        streams: Sequence[torch.cuda.Stream],
    ) -> None:
        super().__init__(flat, embeddings=embeddings, streams=streams)
        self.encoders, self.precision = encoders, precision
        self.leaves = [list(encoder.parameters()) for encoder in encoders]

    def refresh(self) -> None:
        """Nothing: the parameters are views of the weights."""

    def encode(self, number: int, slices: Tensor) -> Tensor:
        """Embeddings (B, L, H, W), float32."""
        half = self.precision != torch.float32
        with torch.autocast(slices.device.type, self.precision, enabled=half, cache_enabled=False):
            return self.encoders[number](slices)

    def gradients(self, found: Sequence[Tensor], scanned: Sequence[int]) -> Sequence[Tensor]:
        """Rows (P,)."""
        return torch.cat([stored(gradient) for gradient in found]).view(len(scanned), -1).unbind()


class EnlargingKernels:
    """The kernels (M, C, 4, 4, C') of the layers that enlarge, which are summed from their weights in float32."""

    def __init__(self, flat: FlatWeights, precision: torch.dtype) -> None:
        self.flat = flat
        self.sums = _kernel_sums(flat.values.device)
        self.of_layer = {}
        for layer in ENLARGING:
            encoders, outputs, _, _, inputs = flat.weights(layer).shape
            self.of_layer[layer] = flat.values.new_empty(encoders, inputs, 4, 4, outputs, dtype=precision)

    def refresh(self) -> None:
        """Take over what the weights have become."""
        for layer, kernels in self.of_layer.items():
            summed = self.sums @ self.flat.weights(layer).flatten(2, 3)
            kernels.flatten(2, 3).copy_(summed.permute(0, 3, 2, 1))

    def of_weights(self, gradients: Tensor) -> Tensor:
        """The gradients of a layer's weights (M, C', 9, C) by those of its kernels (M, C', 16, C)."""
        return self.sums.T @ gradients


class CastOnce(OneByOne):
    """One copy of all weights, cast once a batch, and beside it what isn't a plain copy.

    Those are the kernels of the layers that enlarge, and the last layer, which computes in float32.
    maps: to so many that the last layer is filled up, with weights that stay 0.
    network: `mispel.network.unet`, or the same compiled.
    """

    def __init__(
        self,
        flat: FlatWeights,
        precision: torch.dtype,
        *,
        maps: int,
        embeddings: int,
        streams: Sequence[torch.cuda.Stream],
        network: Callable[..., Tensor] = unet,
    ) -> None:
        super().__init__(flat, embeddings=embeddings, streams=streams)
        self.network = network
        values = flat.values
        self.copies = torch.empty_like(values, dtype=precision)
        by_encoder = [flat.views(row) for row in self.copies]
        self.kernels = EnlargingKernels(flat, precision)
        self.maps, inputs, *_ = flat.shapes[-2]
        self.last = values.new_zeros(len(values), maps, 3, 3, inputs), values.new_zeros(len(values), maps)
        self.leaves = []
        for number, views in enumerate(by_encoder):
            for layer, kernel in self.kernels.of_layer.items():
                views[2 * layer] = kernel[number].permute(0, 3, 1, 2)
            views[-2:] = self.last[0][number].permute(0, 3, 1, 2), self.last[1][number]
            self.leaves.append([view.detach().requires_grad_() for view in views])
        # of a row without the last layer: the kernels that are sums, and what lies before, between and after them
        sizes = [view.numel() for view in by_encoder[0][:-2]]
        first, second = (2 * layer for layer in ENLARGING)
        parts = sizes[:first], sizes[first : first + 1], sizes[first + 1 : second]
        self.parts = [sum(part) for part in (*parts, sizes[second : second + 1], sizes[second + 1 :])]

    def refresh(self) -> None:
        """Cast the weights, sum up the kernels, and copy the last layer."""
        with torch.no_grad():
            self.copies.copy_(self.flat.values)
            self.kernels.refresh()
            weights, biases = self.last
            weights[:, : self.maps].copy_(self.flat.weights(len(self.flat.shapes) // 2 - 1))
            biases[:, : self.maps].copy_(self.flat.values[:, -self.maps :])

    def encode(self, number: int, slices: Tensor) -> Tensor:
        """Embeddings (B, L, H, W), float32."""
        leaves = self.leaves[number]
        layers = list(zip(leaves[::2], leaves[1::2], strict=True))
        return self.network(slices.to(self.copies.dtype), layers)[:, : self.maps]

    def gradients(self, found: Sequence[Tensor], scanned: Sequence[int]) -> Sequence[Tensor]:
        """Rows (P,)."""
        count = len(self.leaves[0])
        by_encoder = [found[begin : begin + count] for begin in range(0, len(found), count)]
        cast = torch.cat([stored(gradient) for of_encoder in by_encoder for gradient in of_encoder[:-2]])
        before, first, between, second, after = cast.view(len(by_encoder), -1).float().split(self.parts, dim=1)
        first, second = (self._enlarging(layer, part) for layer, part in zip(ENLARGING, (first, second), strict=True))
        last = [
            torch.stack([stored(of_encoder[place][: self.maps]) for of_encoder in by_encoder]) for place in (-2, -1)
        ]
        return torch.cat([before, first, between, second, after, *last], dim=1).unbind()

    def _enlarging(self, layer: int, part: Tensor) -> Tensor:
        _, inputs, height, width, outputs = self.kernels.of_layer[layer].shape
        by_output = part.reshape(-1, inputs, height * width, outputs).permute(0, 3, 2, 1)
        return self.kernels.of_weights(by_output).flatten(1)


def _kernel_sums(device: torch.device) -> Tensor:
    """`enlarging_kernel` as a matrix (16, 9): of which 3x3 weights each of the 4x4 is the sum."""
    single = torch.eye(9, device=device).view(9, 1, 3, 3)
    return enlarging_kernel(single)[0].flatten(1).T.contiguous()
