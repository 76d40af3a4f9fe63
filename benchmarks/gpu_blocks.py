"""In which blocks the kernels of MISPEL's encoders are fastest on a GPU: what `mispel.encoder_kernels` chooses by.

    python -m benchmarks.gpu_blocks --out FOLDER

Every layer of the paper's encoders, forward, back by its inputs and by its weights, in each of the candidates, on
slices of 148 x 184 and of 80 x 92; the kernels are compiled first, by several processes. FOLDER/blocks.tsv has
microseconds by layer, candidate and size, and whether the same bits came every time, without which a kernel overwrites
what it still reads; the best of each are printed, by their sum over both sizes. Blocks that a card can't hold are left
out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.gpu_parts import Sizes, seconds
from core.files import write_table
from core.jobs.command import run
from mispel.flat_weights import FlatWeights
from mispel.network import ENLARGING, new_encoder

SHAPES = (148, 184), (80, 92)
SLICES = 4
REPEATS = 8
RECORDED = 5
OF_MAPS = (
    ((8, 16), 4, 1, True),
    ((8, 16), 8, 1, True),
    ((4, 16), 4, 1, True),
    ((16, 16), 8, 1, False),
    ((8, 16), 4, 3, False),
    ((4, 16), 4, 3, False),
)
OF_WEIGHTS = (
    ((4, 16), 4, 3, True),
    ((4, 16), 4, 1, True),
    ((4, 16), 8, 1, True),
    ((8, 16), 8, 1, True),
    ((8, 16), 8, 3, True),
)
"""Candidates: the tile, warps, stages, and whether places are multiplied together, too."""
LARGEST_SUMS = 256 * 128
"""Of places and inputs times outputs, that a program holds of the weights' gradients."""
Piece = tuple[str, int, int, Callable[..., Any]]


def main(argv: Sequence[str] | None = None) -> int:
    """Time all pieces in all blocks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the table")
    parser.add_argument("--compile", type=int, nargs=2, metavar=("NUMBER", "OF"), help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.compile:
        for _ in measured(*given.compile, repeats=1):
            pass
        return 0
    count = os.cpu_count() or 1
    command = [sys.executable, "-m", "benchmarks.gpu_blocks", "--out", str(given.out), "--compile"]
    compiling = [subprocess.Popen([*command, str(number), str(count)]) for number in range(count)]
    for process in compiling:
        process.wait()
    table = pd.DataFrame(measured(0, 1, repeats=REPEATS))
    given.out.mkdir(parents=True, exist_ok=True)
    write_table(given.out / "blocks.tsv", table)
    of_piece = table.pivot_table(index=["piece", "blocks"], columns="shape", values="microseconds")
    of_piece["both"] = of_piece.sum(axis=1, min_count=len(SHAPES))
    of_piece["same"] = table.groupby(["piece", "blocks"])["repeats_bitwise"].all()
    best = of_piece.reset_index().sort_values(["piece", "both"]).groupby("piece").head(3)
    print(best.to_string(index=False, float_format=lambda value: f"{value:.1f}"))
    return 0


def measured(number: int, of: int, *, repeats: int) -> Iterator[dict[str, object]]:
    """A row a piece, shape and candidate, of every `of`-th candidate."""
    from triton.runtime.errors import OutOfResources

    device = torch.device("cuda")
    sizes = Sizes(repeats=repeats)
    for shape in SHAPES:
        turn = 0
        for name, inputs, outputs, work in pieces(device, shape):
            for blocks in candidates(name, inputs, outputs):
                turn += 1
                if turn % of != number:
                    continue
                chosen = partial(work, blocks=blocks)
                try:
                    same = repeats_bitwise(chosen, repeats)
                except OutOfResources:
                    continue
                taken = replayed(chosen, device, sizes)
                yield {
                    "piece": name,
                    "blocks": repr(blocks).removeprefix("Blocks"),
                    "shape": "{} x {}".format(*shape),
                    "microseconds": 1e6 * taken,
                    "repeats_bitwise": same,
                }


def repeats_bitwise(work: Callable[[], Tensor | tuple[Tensor, ...]], repeats: int) -> bool:
    """Whether some work gives the same bits every time."""

    def found() -> list[Tensor]:
        made = work()
        return [tensor.clone() for tensor in (made if isinstance(made, tuple) else (made,))]

    first = found()
    return all(torch.equal(one, other) for _ in range(repeats) for one, other in zip(first, found(), strict=True))


def replayed(work: Callable[[], object], device: torch.device, sizes: Sizes) -> float:
    """Median seconds of some work, recorded several times in one graph, so that starting it counts for nothing."""
    work()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(RECORDED):
            work()
    return seconds(graph.replay, device, sizes) / RECORDED


def candidates(name: str, inputs: int, outputs: int) -> Iterator[object]:
    """The blocks that are tried for a piece."""
    from mispel.encoder_kernels import Blocks

    side = 2 if "enlarging" in name and "back" not in name else 4 if "enlarging" in name else 3
    for (tall, wide), warps, stages, together in OF_WEIGHTS if "weights" in name else OF_MAPS:
        for places in (side**2,) if inputs == 1 else (1, side) if together and inputs < 128 else (1,):
            if places * inputs * outputs <= LARGEST_SUMS or "weights" not in name:
                yield Blocks(tall, wide, places, warps, stages, splits=8 if inputs * outputs > 128 * 64 else 32)


def pieces(device: torch.device, shape: tuple[int, int]) -> Iterator[Piece]:
    """Name, inputs, outputs and work of each layer and way, those that are alike once."""
    from mispel.all_encoders import AllAtOnce
    from mispel.encoder_kernels import ENLARGE, ENLARGE_BACK, PLAIN, PLAIN_BACK, convolve, correlate

    encoders = [new_encoder(width=32, embeddings=6, seed=seed).to(device) for seed in range(4)]
    computed = AllAtOnce(FlatWeights(encoders), torch.bfloat16)
    computed.refresh()
    images = torch.randn(len(encoders), SLICES, *shape, device=device).to(torch.bfloat16)
    *sources, _, _, made = computed.forward(images)[1]
    done = set()
    for layer, source in enumerate(sources):
        enlarges, last = layer in ENLARGING, layer == computed.last
        reach, back = (ENLARGE, ENLARGE_BACK) if enlarges else (PLAIN, PLAIN_BACK)
        outputs, inputs = computed.flat.shapes[2 * layer][:2]
        if last:
            outputs = made.shape[-1]  # filled up
        factor = 2 if enlarges else 1
        size = (*source.shape[:2], factor * source.shape[2], factor * source.shape[3], outputs)
        result = torch.empty(size, device=device, dtype=made.dtype if last else source.dtype)
        gradient = torch.randn(size, device=device).to(result.dtype)
        kind = f"{inputs} to {outputs}{', enlarging' if enlarges else ''}"
        if kind in done:
            continue
        done.add(kind)
        weights, biases, before = computed.weights[layer], computed.biases[layer], source.new_empty(source.shape)
        forward = partial(convolve, source, weights, result, reach, biases=biases, active=not enlarges, precise=last)
        yield f"{kind}, forward", inputs, outputs, forward
        if layer:
            backward = partial(convolve, gradient, weights.back(), before, back, gate=source, precise=last)
            yield f"{kind}, back", outputs, inputs, backward
        yield f"{kind}, weights", inputs, outputs, partial(correlate, source, gradient, reach, precise=last)


if __name__ == "__main__":
    run(main)
