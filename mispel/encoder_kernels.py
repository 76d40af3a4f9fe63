"""All encoders' layers at once on a GPU, as kernels of our own: images and maps (M, B, H, W, C), channels last.

cuDNN computes an encoder at a time, in a kernel a layer and others for its bias, its activation and its copies; here a
layer of all M encoders is one kernel with all of that in it. On an H200, where cuDNN took kernels that use no tensor
cores, bfloat16 took 34 ms a batch at 2 mm and float32 6.2 ms (docs/originals.md).

A layer is described by how its source and its result lie to each other (`Reach`): the 3x3 convolutions, those that
enlarge (`mispel.network.enlarged`), and the gradients by the inputs of both are the same kernel. Sums are float32, in
an order that doesn't change.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from mispel.network import SLOPE

POOLED = 1024
"""Numbers a program of the pooling takes."""


@dataclass(frozen=True)
class Reach:
    """Which pixels of its source a result sums up, on a grid that is the smaller one of both.

    side: so many by so many, beginning one before. stride: of the source, whose grid is so much finer. up: how much
    finer the result's grid is. first, step: by axis the weights' place of the first pixel, less one for every place
    that the result's pixel lies further, and how it goes on, along a side of `places`.
    """

    side: int
    stride: int
    up: int
    first: int
    step: int
    places: int


@dataclass(frozen=True)
class Blocks:
    """How a kernel takes its work.

    tall, wide: of the tile of pixels that a program takes at once. together: places of the weights that are multiplied
    at once, side by side. warps: of a program. stages: loads that are under way. splits: parts of all tiles that are
    summed alone, of `correlate`.
    """

    tall: int
    wide: int
    together: int = 1
    warps: int = 4
    stages: int = 1
    splits: int = 32

    def tiles(self, height: int, width: int) -> int:
        """Of an image."""
        return triton.cdiv(height, self.tall) * triton.cdiv(width, self.wide)


PLAIN = Reach(side=3, stride=1, up=1, first=0, step=1, places=3)
PLAIN_BACK = Reach(side=3, stride=1, up=1, first=2, step=-1, places=3)
ENLARGE = Reach(side=2, stride=1, up=2, first=3, step=-2, places=4)
ENLARGE_BACK = Reach(side=4, stride=2, up=1, first=0, step=1, places=4)


@dataclass(frozen=True)
class Weights:
    """Weights of a layer of all encoders where they lie: `array` from `offset` on, by encoder, place, inputs, outputs.

    Places are numbered row by row; the strides are numbers of elements.
    """

    array: Tensor
    offset: int
    by_encoder: int
    by_place: int
    by_input: int
    by_output: int

    def back(self) -> Weights:
        """For the gradients by the inputs."""
        return Weights(self.array, self.offset, self.by_encoder, self.by_place, self.by_output, self.by_input)


@triton.jit
def _parted(numbers, height, width):
    """Of pixels by their numbers: the image, and the place in it."""
    within = numbers % (height * width)
    return numbers // (height * width), within // width, within % width


@triton.jit
def _element(numbers, per_encoder, height, width, CHANNELS: tl.constexpr):
    """Of elements of all encoders' maps by their numbers: channel, encoder, its pixel, image, and the place in it."""
    pixels = numbers // CHANNELS
    pixel = pixels % per_encoder
    image, y, x = _parted(pixel, height, width)
    return numbers % CHANNELS, (pixels // per_encoder).to(tl.int64), pixel, image, y, x


@triton.jit
def _tile(number, height, width, TALL: tl.constexpr, WIDE: tl.constexpr):
    """Of a tile of the common grid by its number: the image, the places in it of its pixels, and which there are.

    Neighbors lie in one tile, so that what they have in common is read from near memory.
    """
    across = tl.cdiv(width, WIDE)
    image, within = number // (across * tl.cdiv(height, TALL)), number % (across * tl.cdiv(height, TALL))
    pixel = tl.arange(0, TALL * WIDE)
    y = (within // across) * TALL + pixel // WIDE
    x = (within % across) * WIDE + pixel % WIDE
    return image, y, x, (y < height) & (x < width)


@triton.jit
def _source(
    image, y, x, there, height, width, place, phase,
    SIDE: tl.constexpr, STRIDE: tl.constexpr, UP: tl.constexpr,
):  # fmt: skip
    """Of pixels of the common grid: which source pixel a place of the weights means, and whether there is one."""
    y = STRIDE * y + place // SIDE - 1 + phase // UP
    x = STRIDE * x + place % SIDE - 1 + phase % UP
    inside = there & (y >= 0) & (y < STRIDE * height) & (x >= 0) & (x < STRIDE * width)
    return (image * STRIDE * height + y) * (STRIDE * width) + x, inside


@triton.jit
def _result(image, y, x, height, width, phase, UP: tl.constexpr):
    """Of pixels of the common grid: the result's pixel."""
    y = UP * y + phase // UP
    x = UP * x + phase % UP
    return (image * UP * height + y) * (UP * width) + x


@triton.jit
def _place(
    place, phase,
    SIDE: tl.constexpr, UP: tl.constexpr, FIRST: tl.constexpr, STEP: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Where the weights of a place lie."""
    row = FIRST - phase // UP + STEP * (place // SIDE)
    column = FIRST - phase % UP + STEP * (place % SIDE)
    return row * PLACES + column


# sizes of another study are no reason to compile anew
@triton.jit(do_not_specialize=["height", "width"])
def _convolve(
    source, weights, biases, result, gate,
    height, width,
    source_encoder, source_row, weights_encoder, weights_place, weights_input, weights_output,
    biases_encoder, result_encoder, result_row, gate_encoder, gate_row,
    INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, SIDE: tl.constexpr, STRIDE: tl.constexpr, UP: tl.constexpr,
    FIRST: tl.constexpr, STEP: tl.constexpr, PLACES: tl.constexpr,
    BIASED: tl.constexpr, ACTIVE: tl.constexpr, GATED: tl.constexpr, LEAK: tl.constexpr,
    TALL: tl.constexpr, WIDE: tl.constexpr, TOGETHER: tl.constexpr, COLUMNS: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr, PRECISE: tl.constexpr,
):  # fmt: skip
    encoder = tl.program_id(1).to(tl.int64)
    phase = tl.program_id(2)
    image, y, x, there = _tile(tl.program_id(0), height, width, TALL, WIDE)
    columns = tl.arange(0, COLUMNS)
    outputs = tl.arange(0, BLOCK_OUTPUTS)
    source += encoder * source_encoder
    weights += encoder * weights_encoder
    sums = tl.zeros((TALL * WIDE, BLOCK_OUTPUTS), dtype=tl.float32)
    for turn in range(SIDE * SIDE // TOGETHER):
        # inputs of some places side by side
        place = turn * TOGETHER + columns // INPUTS
        channel = columns % INPUTS
        pixels, inside = _source(
            image, y[:, None], x[:, None], there[:, None], height, width, place[None, :], phase, SIDE, STRIDE, UP
        )
        values = tl.load(
            source + pixels * source_row + channel[None, :],
            mask=inside & (columns < TOGETHER * INPUTS)[None, :],
            other=0.0,
            cache_modifier=".ca",
        )
        at = _place(place, phase, SIDE, UP, FIRST, STEP, PLACES) * weights_place + channel * weights_input
        weight = tl.load(
            weights + at[:, None] + outputs[None, :] * weights_output,
            mask=(columns < TOGETHER * INPUTS)[:, None] & (outputs < OUTPUTS)[None, :],
            other=0.0,
        )
        if PRECISE:
            sums = tl.dot(values.to(tl.float32), weight.to(tl.float32), sums, input_precision="tf32")
        else:
            sums = tl.dot(values, weight, sums)
    if BIASED:
        bias = tl.load(biases + encoder * biases_encoder + outputs, mask=outputs < OUTPUTS, other=0.0)
        sums += bias[None, :].to(tl.float32)
    if ACTIVE:
        sums = tl.where(sums > 0, sums, sums * LEAK)
    pixels = _result(image, y, x, height, width, phase, UP)
    kept = there[:, None] & (outputs[None, :] < OUTPUTS)
    if GATED:
        opened = tl.load(gate + encoder * gate_encoder + pixels[:, None] * gate_row + outputs[None, :], mask=kept)
        sums = tl.where(opened > 0, sums, sums * LEAK)
    at_result = result + encoder * result_encoder + pixels[:, None] * result_row + outputs[None, :]
    tl.store(at_result, sums.to(result.dtype.element_ty), mask=kept)


@triton.jit(do_not_specialize=["height", "width", "tiles", "chunk"])
def _correlate(
    source, gradient, found,
    tiles, chunk, height, width, encoders, row,
    source_encoder, source_row, gradient_encoder, gradient_row,
    INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, SIDE: tl.constexpr, STRIDE: tl.constexpr, UP: tl.constexpr,
    FIRST: tl.constexpr, STEP: tl.constexpr, PLACES: tl.constexpr,
    TALL: tl.constexpr, WIDE: tl.constexpr, TOGETHER: tl.constexpr, COLUMNS: tl.constexpr,
    BLOCK_OUTPUTS: tl.constexpr, PRECISE: tl.constexpr,
):  # fmt: skip
    encoder = tl.program_id(2).to(tl.int64)
    turns: tl.constexpr = SIDE * SIDE // TOGETHER
    turn = tl.program_id(0) % turns
    phase = tl.program_id(0) // turns
    split = tl.program_id(1)
    columns = tl.arange(0, COLUMNS)
    outputs = tl.arange(0, BLOCK_OUTPUTS)
    place = turn * TOGETHER + columns // INPUTS
    channel = columns % INPUTS
    source += encoder * source_encoder
    gradient += encoder * gradient_encoder
    sums = tl.zeros((COLUMNS, BLOCK_OUTPUTS), dtype=tl.float32)
    biases = tl.zeros((TALL * WIDE, BLOCK_OUTPUTS), dtype=tl.float32)
    for number in range(split * chunk, tl.minimum(tiles, (split + 1) * chunk)):
        image, y, x, there = _tile(number, height, width, TALL, WIDE)
        pixels, inside = _source(
            image, y[:, None], x[:, None], there[:, None], height, width, place[None, :], phase, SIDE, STRIDE, UP
        )
        pixels_given = _result(image, y, x, height, width, phase, UP)
        at_given = gradient + pixels_given[:, None] * gradient_row + outputs[None, :]
        wanted = there[:, None] & (outputs[None, :] < OUTPUTS)
        given = tl.load(at_given, mask=wanted, other=0.0)
        # read once more, where it is counted, and not as the same: what a product reads while the next is loaded
        # must be read by it alone, or triton 3.6 overwrites it too early
        again = tl.load(
            at_given,
            mask=there[:, None] & (outputs[None, :] + turn * OUTPUTS < OUTPUTS),
            other=0.0,
            eviction_policy="evict_last",
        )
        values = tl.load(
            source + pixels * source_row + channel[None, :],
            mask=inside & (columns < TOGETHER * INPUTS)[None, :],
            other=0.0,
            cache_modifier=".ca",
        )
        if PRECISE:
            values, given = values.to(tl.float32), given.to(tl.float32)
            sums = tl.dot(tl.trans(values), given, sums, input_precision="tf32")
        else:
            sums = tl.dot(tl.trans(values), given, sums)
        biases += again.to(tl.float32)
    # in the order that weights are kept, and the biases behind them
    found += (split * encoders + encoder) * row
    at = (outputs[None, :] * (PLACES * PLACES) + _place(place, phase, SIDE, UP, FIRST, STEP, PLACES)[:, None]) * INPUTS
    within = (columns < TOGETHER * INPUTS)[:, None] & (outputs[None, :] < OUTPUTS)
    tl.store(found + at + channel[:, None], sums, mask=within)
    at_biases = OUTPUTS * PLACES * PLACES * INPUTS + phase * OUTPUTS + outputs
    if turn == 0:
        tl.store(found + at_biases, tl.sum(biases, axis=0), mask=outputs < OUTPUTS)


@triton.jit
def _pool(
    fine, coarse, chosen, numbers, height, width, fine_encoder, fine_row, per_encoder,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    kept = number < numbers
    channel, encoder, _, image, y, x = _element(number, per_encoder, height, width, CHANNELS)
    top = (image * 2 * height + 2 * y) * 2 * width + 2 * x
    at = fine + encoder * fine_encoder + channel
    largest = tl.load(at + top * fine_row, mask=kept)
    which = tl.zeros((BLOCK,), dtype=tl.int8)
    for place in tl.static_range(1, 4):
        value = tl.load(at + (top + (place // 2) * 2 * width + place % 2) * fine_row, mask=kept)
        which = tl.where(value > largest, place, which).to(tl.int8)
        largest = tl.where(value > largest, value, largest)
    tl.store(coarse + number, largest, mask=kept)
    tl.store(chosen + number, which, mask=kept)


@triton.jit
def _unpool(
    gradient, chosen, beside, gate, result, numbers, height, width, beside_encoder, beside_row,
    gate_encoder, gate_row, per_encoder,
    LEAK: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    kept = number < numbers
    channel, encoder, pixel, image, y, x = _element(number, per_encoder, height, width, CHANNELS)
    coarse_pixel = (image * (height // 2) + y // 2) * (width // 2) + x // 2
    at = (encoder * (per_encoder // 4) + coarse_pixel) * CHANNELS + channel
    here = tl.load(chosen + at, mask=kept, other=0) == (y % 2) * 2 + x % 2
    sums = tl.where(here, tl.load(gradient + at, mask=kept, other=0.0).to(tl.float32), 0.0)
    at_beside = beside + encoder * beside_encoder + pixel * beside_row + channel
    sums += tl.load(at_beside, mask=kept, other=0.0).to(tl.float32)
    opened = tl.load(gate + encoder * gate_encoder + pixel * gate_row + channel, mask=kept, other=0.0)
    sums = tl.where(opened > 0, sums, sums * LEAK)
    tl.store(result + number, sums.to(result.dtype.element_ty), mask=kept)


def convolve(
    source: Tensor,
    weights: Weights,
    result: Tensor,
    reach: Reach,
    *,
    biases: Tensor | None = None,
    active: bool = False,
    gate: Tensor | None = None,
    precise: bool = False,
    blocks: Blocks | None = None,
) -> Tensor:
    """Maps (M, B, H', W', C') of `source` (M, B, H, W, C), written into `result`, which is returned.

    biases: (M, C'), added. active: LeakyReLU follows. gate: (M, B, H', W', C'), what LeakyReLU gave, by whose
    derivative the result is multiplied. precise: float32 is multiplied as TF32, not bfloat16.
    """
    encoders, images, height, width, inputs = source.shape
    outputs = result.shape[-1]
    height, width = height // reach.stride, width // reach.stride
    blocks = blocks or _blocks(inputs, outputs, reach)
    biases_given, gate_given = source if biases is None else biases, source if gate is None else gate
    _convolve[images * blocks.tiles(height, width), encoders, reach.up**2](
        source, weights.array[..., weights.offset :] if weights.offset else weights.array, biases_given, result,
        gate_given, height, width,
        source.stride(0), source.stride(3), weights.by_encoder, weights.by_place, weights.by_input, weights.by_output,
        biases_given.stride(0), result.stride(0), result.stride(3), gate_given.stride(0), gate_given.stride(3)
        if gate is not None else 0,
        INPUTS=inputs, OUTPUTS=outputs, SIDE=reach.side, STRIDE=reach.stride, UP=reach.up, FIRST=reach.first,
        STEP=reach.step, PLACES=reach.places, BIASED=biases is not None, ACTIVE=active, GATED=gate is not None,
        LEAK=SLOPE, TALL=blocks.tall, WIDE=blocks.wide, TOGETHER=blocks.together,
        COLUMNS=_padded(blocks.together * inputs), BLOCK_OUTPUTS=_padded(outputs), PRECISE=precise,
        num_warps=blocks.warps, num_stages=blocks.stages,
    )  # fmt: skip
    return result


def correlate(
    source: Tensor, gradient: Tensor, reach: Reach, *, precise: bool = False, blocks: Blocks | None = None
) -> tuple[Tensor, Tensor]:
    """A layer's gradients, float32: of its weights (M, C', places, C) and of its biases (M, C').

    source: its inputs (M, B, H, W, C). gradient: by its sums (M, B, H', W', C'). reach: of the layer itself.
    """
    encoders, images, height, width, inputs = source.shape
    outputs = gradient.shape[-1]
    blocks = blocks or _blocks_of_gradients(inputs, outputs, reach)
    tiles = images * blocks.tiles(height, width)
    chunk = triton.cdiv(tiles, min(blocks.splits, tiles))
    splits = triton.cdiv(tiles, chunk)
    phases, turns = reach.up**2, reach.side**2 // blocks.together
    weights = outputs * reach.places**2 * inputs
    row = weights + phases * outputs
    found = source.new_empty(splits, encoders, row, dtype=torch.float32)
    _correlate[phases * turns, splits, encoders](
        source, gradient, found, tiles, chunk, height, width, encoders, row,
        source.stride(0), source.stride(3), gradient.stride(0), gradient.stride(3),
        INPUTS=inputs, OUTPUTS=outputs, SIDE=reach.side, STRIDE=reach.stride, UP=reach.up, FIRST=reach.first,
        STEP=reach.step, PLACES=reach.places, TALL=blocks.tall, WIDE=blocks.wide, TOGETHER=blocks.together,
        COLUMNS=_padded(blocks.together * inputs), BLOCK_OUTPUTS=_padded(outputs), PRECISE=precise,
        num_warps=blocks.warps, num_stages=blocks.stages,
    )  # fmt: skip
    of_weights, of_biases = found.sum(dim=0).split([weights, phases * outputs], dim=1)
    if phases > 1:
        of_biases = of_biases.unflatten(1, (phases, outputs)).sum(dim=1)
    return of_weights.unflatten(1, (outputs, reach.places**2, inputs)), of_biases


def pool(fine: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of every 2x2 pixels (M, B, H/2, W/2, C), and which it is, the first of equal ones."""
    encoders, images, height, width, channels = fine.shape
    coarse = fine.new_empty(encoders, images, height // 2, width // 2, channels)
    chosen = torch.empty_like(coarse, dtype=torch.int8)
    _pool[(triton.cdiv(coarse.numel(), POOLED),)](
        fine, coarse, chosen, coarse.numel(), height // 2, width // 2, fine.stride(0), fine.stride(3),
        coarse[0, ..., 0].numel(), CHANNELS=channels, BLOCK=POOLED,
    )  # fmt: skip
    return coarse, chosen


def unpool(gradient: Tensor, chosen: Tensor, *, beside: Tensor, gate: Tensor) -> Tensor:
    """The gradient (M, B, H, W, C) by a LeakyReLU's sums: of what was pooled, and `beside`.

    gradient: by the pooled maps. chosen: as `pool` gave it. gate: what LeakyReLU gave.
    """
    result = gate.new_empty(gate.shape)
    _unpool[(triton.cdiv(result.numel(), POOLED),)](
        gradient, chosen, beside, gate, result, result.numel(), gate.shape[2], gate.shape[3],
        beside.stride(0), beside.stride(3), gate.stride(0), gate.stride(3), result[0, ..., 0].numel(),
        LEAK=SLOPE, CHANNELS=gate.shape[-1], BLOCK=POOLED,
    )  # fmt: skip
    return result


def _padded(channels: int) -> int:
    """Tensor cores take 16 and more."""
    return max(16, triton.next_power_of_2(channels))


def _blocks(inputs: int, outputs: int, reach: Reach) -> Blocks:
    """Of `convolve`: the fastest of those that were tried on an H200, on slices of 148 x 184 and of 80 x 92."""
    if inputs == 1:
        return Blocks(8, 16, together=reach.side**2)
    if inputs < 16:
        return Blocks(8, 16, together=reach.side)
    if reach.side != PLAIN.side:
        return Blocks(8, 16, stages=3)
    return Blocks(8, 16, warps=8 if inputs == outputs > 32 else 4)


def _blocks_of_gradients(inputs: int, outputs: int, reach: Reach) -> Blocks:
    """Of `correlate`: as `_blocks`."""
    if inputs == 1:
        return Blocks(8, 16, together=reach.side**2, warps=8)
    if outputs < 16:
        return Blocks(4, 16, together=reach.side)
    few = reach.side * inputs <= 128
    return Blocks(4, 16, together=reach.side if few else 1, stages=3, splits=8 if inputs * outputs > 128 * 64 else 32)
