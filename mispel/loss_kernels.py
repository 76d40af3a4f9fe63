"""Both steps' losses and their gradients on a GPU, in one kernel of our own that reads the embeddings twice.

By torch they are a hundred kernels a batch, each of which reads and writes maps: on an H200, of slices of 148 x 184,
0.6 ms of the 4.1 that a batch of Step 1 took, and most of the 0.5 of Step 2. Eq. 2 to 6 and their derivatives are
written out here; `mispel.losses` has them as they are read.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from mispel.batches import Seen
from mispel.losses import LossWeights
from mispel.scores import Scores

PIXELS = 128
"""A program takes at once."""


@triton.jit(do_not_specialize=["pixels", "slices"])
def _score(
    images, depths, embeddings, coefficients, present, region, inside,
    losses, sums, of_coefficients, of_embeddings,
    pixels, slices, by_reconstruction, by_coupling, by_harmonization,
    image_slice, image_scanner, depth_slice, depth_scanner,
    map_slice, map_scanner, map_map, map_pixel,
    found_slice, found_scanner, found_map, found_pixel,
    SCANNERS: tl.constexpr, MAPS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
    REGION: tl.constexpr, RELU: tl.constexpr, EMBEDDINGS: tl.constexpr,
):  # fmt: skip
    block, number = tl.program_id(0), tl.program_id(1).to(tl.int64)
    pixel = block * BLOCK + tl.arange(0, BLOCK)
    scanner = tl.arange(0, PADDED)
    there = (pixel < pixels)[:, None] & (scanner < SCANNERS)[None, :]
    image = tl.load(
        images + number * image_slice + scanner[None, :] * image_scanner + pixel[:, None], mask=there, other=0.0
    )
    depth = tl.load(
        depths + number * depth_slice + scanner[None, :] * depth_scanner + pixel[:, None], mask=there, other=0
    )
    scanned = tl.load(present + number * SCANNERS + scanner, mask=scanner < SCANNERS, other=0.0)
    count = tl.maximum(tl.sum(scanned, axis=0), 1.0)
    share = scanned / count
    # each counts with all others, and every pair twice
    pairs = tl.maximum((tl.sum(scanned, axis=0) - 1) * tl.sum(scanned, axis=0) / 2, 1.0)
    # what a pixel counts in a mean over the batch
    if REGION:
        weight = tl.load(region + number * pixels + pixel, mask=pixel < pixels, other=0.0)
        weight = weight / (tl.load(inside + number) * slices)
    else:
        weight = tl.where(pixel < pixels, 1.0 / (pixels * slices), 0.0)

    at = embeddings + number * map_slice + scanner[None, :].to(tl.int64) * map_scanner + pixel[:, None] * map_pixel
    output = tl.zeros((BLOCK, PADDED), dtype=tl.float32)
    variance = tl.zeros((BLOCK,), dtype=tl.float32)
    for one in tl.static_range(MAPS):
        values = tl.load(at + one * map_map, mask=there, other=0.0)
        coefficient = tl.load(coefficients + scanner * MAPS + one, mask=scanner < SCANNERS, other=0.0)
        output += values * coefficient[None, :]
        away = values - tl.sum(values * share[None, :], axis=1)[:, None]
        variance += tl.sum(away * away * share[None, :], axis=1)
    linear = output
    if RELU:
        output = tl.maximum(output, 0.0)

    error = output - image
    reconstruction = tl.sum(tl.abs(error) * share[None, :], axis=1) * SCANNERS
    upward = tl.where(error > 0, 1.0, tl.where(error < 0, -1.0, 0.0))
    by_output = upward * (by_reconstruction * SCANNERS * share)[None, :]
    harmonization = tl.zeros((BLOCK,), dtype=tl.float32)
    for other in tl.static_range(SCANNERS):
        theirs = tl.sum(tl.where((scanner == other)[None, :], output, 0.0), axis=1)
        both = scanned * tl.sum(tl.where(scanner == other, scanned, 0.0), axis=0) / pairs
        difference = output - theirs[:, None]
        harmonization += tl.sum(tl.abs(difference) * tl.where(scanner < other, both, 0.0)[None, :], axis=1)
        upward = tl.where(difference > 0, 1.0, tl.where(difference < 0, -1.0, 0.0))
        by_output += upward * (by_harmonization * both)[None, :]
    by_output *= weight[:, None]
    if RELU:
        by_output = tl.where(linear > 0, by_output, 0.0)

    part = (number * tl.num_programs(0) + block).to(tl.int64)
    tl.store(losses + part * 3, tl.sum(reconstruction * weight, axis=0))
    tl.store(losses + part * 3 + 1, tl.sum(variance * weight, axis=0) / MAPS)
    tl.store(losses + part * 3 + 2, tl.sum(harmonization * weight, axis=0))
    found = of_embeddings + number * found_slice + scanner[None, :].to(tl.int64) * found_scanner
    found += pixel[:, None] * found_pixel
    for one in tl.static_range(MAPS):
        values = tl.load(at + one * map_map, mask=there, other=0.0)
        tl.store(
            of_coefficients + (part * SCANNERS + scanner) * MAPS + one,
            tl.sum(values * by_output, axis=0),
            mask=scanner < SCANNERS,
        )
        if EMBEDDINGS:
            coefficient = tl.load(coefficients + scanner * MAPS + one, mask=scanner < SCANNERS, other=0.0)
            away = values - tl.sum(values * share[None, :], axis=1)[:, None]
            coupled = away * share[None, :] * (by_coupling * 2.0 / MAPS * weight)[:, None]
            tl.store(found + one * found_map, by_output * coefficient[None, :] + coupled, mask=there)

    brain = tl.where(depth > 0, 1.0, 0.0)
    made, seen = output * brain, image * brain
    at_sums = sums + part * 6 * SCANNERS + scanner
    real = scanner < SCANNERS
    tl.store(at_sums, tl.sum(brain, axis=0), mask=real)
    tl.store(at_sums + SCANNERS, tl.sum(tl.where(tl.abs(made) > 1e-6, 1.0, 0.0), axis=0), mask=real)
    tl.store(at_sums + 2 * SCANNERS, tl.sum(made, axis=0), mask=real)
    tl.store(at_sums + 3 * SCANNERS, tl.sum(made * made, axis=0), mask=real)
    tl.store(at_sums + 4 * SCANNERS, tl.sum(seen, axis=0), mask=real)
    tl.store(at_sums + 5 * SCANNERS, tl.sum(seen * seen, axis=0), mask=real)


def scores(
    seen: Seen, embeddings: Tensor, coefficients: Tensor, *, weights: LossWeights, relu: bool, of_embeddings: bool
) -> Scores:
    """What `mispel.scores.scores` gives, and takes; of no map are pixels apart that are neighbors in a row, or rows."""
    images, depths, region = seen.images, seen.depths, seen.region
    slices, scanners, maps, height, width = embeddings.shape
    pixels = height * width
    parts = slices, triton.cdiv(pixels, PIXELS)
    losses = images.new_empty(*parts, 3)
    sums = images.new_empty(*parts, 6, scanners)
    by_coefficients = images.new_empty(*parts, scanners, maps)
    by_embeddings = torch.empty_like(embeddings) if of_embeddings else losses.new_empty((1,) * 5)
    inside = images if region is None else region.sum(dim=(1, 2)).clamp(min=1)
    _score[parts[::-1]](
        images, depths, embeddings, coefficients, seen.present, images if region is None else region, inside,
        losses, sums, by_coefficients, by_embeddings,
        pixels, slices, weights.reconstruction, weights.coupling or 0.0, weights.harmonization,
        images.stride(0), images.stride(1), depths.stride(0), depths.stride(1),
        *strides(embeddings), *strides(by_embeddings),
        SCANNERS=scanners, MAPS=maps, PADDED=triton.next_power_of_2(scanners), BLOCK=PIXELS,
        REGION=region is not None, RELU=relu, EMBEDDINGS=of_embeddings,
    )  # fmt: skip
    return Scores(
        torch.stack(weights.losses(*losses.sum(dim=(0, 1)).unbind())),
        sums.sum(dim=(0, 1), dtype=torch.float64),
        by_coefficients.sum(dim=(0, 1)),
        by_embeddings if of_embeddings else None,
    )


def strides(maps: Tensor) -> tuple[int, int, int, int]:
    """Of maps (B, M, L, H, W) from slice to slice, scanner to scanner, map to map and pixel to pixel."""
    by_slice, by_scanner, by_map, _, by_pixel = maps.stride()
    return by_slice, by_scanner, by_map, by_pixel
