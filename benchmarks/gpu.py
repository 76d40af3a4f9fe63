"""MISPEL's Step 1 on a GPU, beside what that GPU does on a plain convolution and on a copy.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --device cpu --height 16 --width 16 --slices 8 --steps 2     how it works, anywhere

Slices are random: the arithmetic does not depend on what they show. The floor is the time that the
convolutions' multiplications would take at the plain convolution's rate. `the paper's job` is 18 people
x 4 scanners at 1 mm, 100 epochs of Step 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.jobs.command import run
from mispel.batches import Batches
from mispel.bench import SCANNERS, random_store
from mispel.collapse import OutputWatch
from mispel.compute import choose_device, choose_precision, working_threads
from mispel.parameters import Parameters
from mispel.steps import EmbeddingLearning
from mispel.training import untrained_model

PAPER_SLICES = 18 * 150
"""Of each scanner: axial slices with brain, 18 people at 1 mm."""
BACKWARD = 3
"""A training step multiplies three times as much as its forward pass."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--height", type=int, default=184, help="of the slices (default: 184)")
    parser.add_argument("--width", type=int, default=224, help="of the slices (default: 224)")
    parser.add_argument("--slices", type=int, default=200, help="in the store (default: 200)")
    parser.add_argument("--steps", type=int, default=50, help="timed, after 5 that warm up (default: 50)")
    given = parser.parse_args(argv)
    device = choose_device(given.device)
    shape = (given.height, given.width)
    multiplications, bytes_a_second = convolution_rate(device, shape), copy_rate(device)
    seconds, needed = training_step(device, shape, slices=given.slices, steps=given.steps)
    steps = 100 * PAPER_SLICES // Parameters().batch_size
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    rows = [
        ("device", name),
        ("plain convolution", f"{multiplications / 1e12:.3g} T multiply-adds/s"),
        ("copy", f"{bytes_a_second / 1e9:.3g} GB/s"),
        ("a step of 4 x 4 slices", f"{1e3 * seconds:.3g} ms"),
        ("of it multiplications, at the plain rate", f"{needed / multiplications / seconds:.1%}"),
        (f"Step 1 of the paper's job on slices of {given.height} x {given.width}", f"{steps * seconds:.0f} s"),
        ("its floor by multiplications", f"{steps * needed / multiplications:.0f} s"),
    ]
    print(pd.DataFrame(rows, columns=["what", "measured"]).to_string(index=False))
    return 0


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median seconds of `work`, the device waited for."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return float(np.median(times[len(times) // 5 :]))


def convolution_rate(device: torch.device, shape: tuple[int, int]) -> float:
    """Multiply-adds a second of one 3x3 convolution, 64 to 64 channels, bfloat16, channels last."""
    layer = nn.Conv2d(64, 64, 3, padding=1).to(device, torch.bfloat16, memory_format=torch.channels_last)
    images = torch.randn(16, 64, *shape, device=device, dtype=torch.bfloat16)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        seconds = seconds_of(lambda: layer(images), device, repeats=15)
    return 16 * shape[0] * shape[1] * 64 * 64 * 9 / seconds


def copy_rate(device: torch.device) -> float:
    """Bytes a second read and written by a copy within the device's memory."""
    source = torch.zeros(1 << (28 if device.type == "cuda" else 24), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds_of(lambda: target.copy_(source), device, repeats=15)


def training_step(device: torch.device, shape: tuple[int, int], *, slices: int, steps: int) -> tuple[float, float]:
    """Seconds of a step of Step 1 with the paper's parameters, and the multiply-adds of its convolutions."""
    parameters = Parameters()
    with tempfile.TemporaryDirectory() as folder, working_threads(1) as for_each:
        store = random_store(Path(folder), slices, *shape)
        model = untrained_model(store, parameters, seed=0, device=device)
        batches = Batches(store, device, region=parameters.loss_region)
        precision = choose_precision(parameters.precision, device)
        learning = EmbeddingLearning(model, batches, parameters, precision=precision, for_each=for_each)
        watch = OutputWatch(SCANNERS, device)
        random = np.random.default_rng(0)

        def step() -> None:
            learning.train(np.sort(random.choice(slices, parameters.batch_size, replace=False)), watch)

        needed = BACKWARD * multiply_adds(model.encoders[0], shape) * len(SCANNERS) * parameters.batch_size
        seconds_of(step, device, repeats=min(5, steps))
        return seconds_of(step, device, repeats=steps), needed


def multiply_adds(encoder: nn.Module, shape: tuple[int, int]) -> int:
    """Of the convolutions in a forward pass of one slice."""
    device = next(encoder.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(1, 1, *shape, device=device))
    # it counts a multiplication and its addition as two
    return counter.get_total_flops() // 2


if __name__ == "__main__":
    run(main)
