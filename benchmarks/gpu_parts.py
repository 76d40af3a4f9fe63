"""What `benchmarks.gpu` measures, part by part, each in a process of its own: a function of sizes and device.

Slices are random: the arithmetic does not depend on what they show.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mispel.batches import Batches, shuffled_batches
from mispel.bench import SCANNERS, chosen_slices, peak_mb, random_store
from mispel.collapse import OutputWatch
from mispel.compute import choose_device, choose_precision, working_threads
from mispel.embedding_cache import build_cache
from mispel.graph_steps import VERSIONS, GraphLearning, first_step, in_training, second_step
from mispel.model import save_model
from mispel.parameters import Settings
from mispel.passes import run_step
from mispel.slices import SliceStore
from mispel.steps import EmbeddingLearning, FirstStep
from mispel.training import solve_decoders, untrained_model

Figures = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    shapes: of the slices; the first is that of the paper's job, cropped to the brains, the second its whole grid, the
    third that of 2 mm. slices: in the store. steps: timed, at most, of as many as fit in `timed_seconds`. compared,
    repeated, profiled: steps of those parts. job_slices: of each scanner
    in the paper's job. scans, scan_slices: harmonized. matrix, copied: of the ceilings. repeats: of each.
    """

    shapes: tuple[tuple[int, int], ...] = ((148, 184), (184, 224), (80, 92))
    slices: int = 200
    steps: int = 300
    timed_seconds: float = 4
    compared: int = 20
    repeated: int = 50
    profiled: int = 5
    job_slices: int = 2570
    scans: int = 20
    scan_slices: int = 150
    matrix: int = 8192
    copied: int = 1 << 32
    repeats: int = 30
    batch_sizes: tuple[int, ...] = (4, 8, 16, 32)
    width: int = 32


SMALL = Sizes(((16, 20), (16, 24)), 8, 4, 4, 3, 2, 1, 9, 2, 6, 64, 1 << 16, 3, (4, 8), 8)
"""To try every part, in seconds each, on any machine."""
BACKWARD = 3
"""A training step multiplies three times as much as its forward pass."""
TRANSFERS = 5
"""Of every map that a convolution makes, where all else is fused with one: written, read and kept for the backward
pass, in which its gradient is written and read."""
TOP_KERNELS = 15
NAMED = 120
"""Characters of a kernel's name, which torch writes whole templates into."""
TRIED = 4
"""Steps by which it is told how many can be timed."""
WARM_UP = 6
"""Steps before those that are timed: some run as they are, then they are recorded."""


def ceilings(sizes: Sizes, device: torch.device, out: Path) -> Figures:
    """What the device does at most: multiply-adds a second of large products and of convolutions, bytes of a copy."""
    half = torch.bfloat16
    matrix = torch.randn(sizes.matrix, sizes.matrix, device=device, dtype=half)
    product = seconds(lambda: matrix @ matrix, device, sizes)
    pair = torch.zeros(2, sizes.copied, dtype=torch.uint8, device=device)
    copying = seconds(lambda: pair[0].copy_(pair[1]), device, sizes)
    figures: Figures = {
        "GEMM bfloat16 [T multiply-adds/s]": sizes.matrix**3 / product / 1e12,
        "copy [GB/s]": 2 * sizes.copied / copying / 1e9,
    }
    height, width = sizes.shapes[0]
    for name, inputs, outputs, groups in (
        ("64 to 64", 64, 64, 1),
        ("32 to 32", 32, 32, 1),
        ("4 x 32 to 32 in groups", 128, 128, 4),
    ):
        layer = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)
        layer = layer.to(device, half, memory_format=torch.channels_last)
        figures |= convolution(f"convolution {name}", layer, (16 // groups, inputs, height, width), sizes)
    enlarging = nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)
    enlarging = enlarging.to(device, half, memory_format=torch.channels_last)
    return figures | convolution("convolution 64 to 32, enlarging", enlarging, (16, 64, height // 2, width // 2), sizes)


def convolution(name: str, layer: nn.Module, shape: tuple[int, ...], sizes: Sizes) -> Figures:
    """Multiply-adds a second of a layer, channels last: forward, by its inputs, by its weights."""
    weight = next(layer.parameters())
    images = torch.randn(shape, device=weight.device, dtype=weight.dtype).contiguous(memory_format=torch.channels_last)
    images.requires_grad_()
    made = layer(images)
    upstream = torch.randn_like(made)
    with FlopCounterMode(display=False) as counter:
        layer(images)
    # it counts a multiplication and its addition as two
    needed = counter.get_total_flops() / 2
    figures = {}
    for what, work in (
        ("forward", lambda: layer(images)),
        ("by inputs", lambda: torch.autograd.grad(made, images, upstream, retain_graph=True)),
        ("by weights", lambda: torch.autograd.grad(made, weight, upstream, retain_graph=True)),
    ):
        taken = seconds(work, weight.device, sizes)
        figures[f"{name}, {what} [T multiply-adds/s]"] = needed / taken / 1e12
    return figures


def version(
    sizes: Sizes, device: torch.device, out: Path, *, number: int, precision: str = "auto", tf32: bool = True
) -> Figures:
    """Step 1 in one way: its first losses, its time, its memory, its kernels, and whether it repeats bitwise."""
    figures: Figures = {}
    ends = []

    def learning_on(shape: tuple[int, int]) -> AbstractContextManager[FirstStep]:
        return made(sizes, device, shape, number, precision)

    with allowing_tf32(tf32):
        with learning_on(sizes.shapes[0]) as learning:
            figures["losses"] = run(learning, sizes.compared).tolist()
        for shape in sizes.shapes:
            with learning_on(shape) as learning:
                figures |= of_a_step(learning, shape, sizes)
                if shape == sizes.shapes[0]:
                    figures |= kernels(learning, sizes.profiled, out / f"kernels-version{number}.txt")
        for _ in range(2):
            with learning_on(sizes.shapes[0]) as learning:
                run(learning, sizes.repeated)
                ends.append(learning.model.tensors())
    figures["repeats bitwise"] = all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    return figures


def of_a_step(learning: FirstStep, shape: tuple[int, int], sizes: Sizes) -> Figures:
    """Time, memory and floors of a step on slices of some shape."""
    size = f"{shape[0]} x {shape[1]}"
    device = learning.batches.device
    run(learning, WARM_UP)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    taken = step_seconds(learning, sizes)
    needed, moved = floors(learning.model.encoders[0], shape)
    slices = len(SCANNERS) * learning.parameters.batch_size
    return {
        f"{size} [ms]": 1e3 * taken,
        # of torch on a GPU, pools of graphs included, or of the process
        f"{size} [MB]": torch.cuda.max_memory_reserved() / 1e6 if device.type == "cuda" else peak_mb(),
        f"{size} [multiply-adds]": needed * slices,
        f"{size} [bytes]": moved * slices,
    }


def batch_sizes(sizes: Sizes, device: torch.device, out: Path) -> Figures:
    """The version that training takes: milliseconds by batch size and by precision."""
    figures: Figures = {}
    number = next(number for number, version in VERSIONS.items() if version == in_training(device))
    for size in sizes.batch_sizes:
        with made(sizes, device, sizes.shapes[0], number, "auto", batch_size=size) as learning:
            run(learning, WARM_UP)
            figures[f"batch of {size} [ms]"] = 1e3 * step_seconds(learning, sizes)
    for name, precision, allowed in (
        ("float32", "float32", False),
        ("tf32", "float32", True),
        ("bfloat16", "bfloat16", True),
    ):
        with allowing_tf32(allowed), made(sizes, device, sizes.shapes[0], number, precision) as learning:
            run(learning, WARM_UP)
            figures[f"{name} [ms]"] = 1e3 * step_seconds(learning, sizes)
    return figures


def job(sizes: Sizes, device: torch.device, out: Path) -> Figures:
    """The paper's job, two epochs of each step, by part in wall seconds; and 100 + 100 epochs by them."""
    parameters = Settings(width=sizes.width, step2_epochs=2)
    taken: Figures = {}

    @contextmanager
    def part(name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        wait(device)
        taken[f"{name} [s]"] = time.perf_counter() - begin

    with tempfile.TemporaryDirectory() as folder, working_threads(1) as for_each:
        store = repeated(random_store(Path(folder), sizes.slices, *sizes.shapes[0]), sizes.job_slices)
        model = untrained_model(store, parameters, seed=0, device=device)
        with part("slices to the device"):
            batches = Batches(store, device, region=parameters.loss_region)
        with part("Step 1, before its first batch"):
            learning = first_step(model, batches, parameters, precision=model.precision, for_each=for_each)
        learning.epochs = 1
        with part("Step 1, 1 epoch, kernels compiled"):
            run_step(learning, seed=0, settled=False)
        learning.epochs = 2
        with part("Step 1, 2 epochs"):
            run_step(learning, seed=0, settled=False)
        taken["Step 1 is"] = type(learning).__name__
        del learning
        with part("embeddings"):
            cache = build_cache(model, store, Path(folder), limit_gb=parameters.cache_limit_gb, for_each=for_each)
        with part("Step 2, before its first batch"):
            fitting = second_step(model, batches, parameters, cache=cache)
        with part("Step 2 by Adam, 2 epochs"):
            run_step(fitting, seed=0, settled=False)
        with part("saving"):
            save_model(Path(folder) / "model", model, parameters={}, training={})
    others = sum(
        taken[f"{name} [s]"]
        for name in ("slices to the device", "Step 1, before its first batch", "embeddings", "saving")
    )
    step1 = taken["Step 1, 1 epoch, kernels compiled [s]"] + 99 / 2 * taken["Step 1, 2 epochs [s]"]
    by_adam = taken["Step 2, before its first batch [s]"] + 50 * taken["Step 2 by Adam, 2 epochs [s]"]
    taken["the paper's job [s]"] = others + step1 + by_adam
    return taken


def second_step_exactly(sizes: Sizes, device: torch.device, out: Path) -> Figures:
    """Step 2 of the paper's job to its optimum, instead of by Adam: wall seconds, compiling included."""
    parameters = Settings(width=sizes.width)
    with tempfile.TemporaryDirectory() as folder, working_threads(1) as for_each:
        store = repeated(random_store(Path(folder), sizes.slices, *sizes.shapes[0]), sizes.job_slices)
        model = untrained_model(store, parameters, seed=0, device=device)
        batches = Batches(store, device, region=parameters.loss_region)
        cache = build_cache(model, store, Path(folder), limit_gb=parameters.cache_limit_gb, for_each=for_each)
        begin = time.perf_counter()
        _, gap = solve_decoders(model, batches, cache, parameters, seed=0, for_each=for_each)
        return {"Step 2 exactly [s]": time.perf_counter() - begin, "gap": gap}


def harmonize(sizes: Sizes, device: torch.device, out: Path) -> Figures:
    """Scans harmonized: wall seconds a scan, by slices at a time and by precision."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder, working_threads(1) as for_each:
        store = random_store(Path(folder), sizes.scan_slices, *sizes.shapes[0])
        slices = np.array(store.images[0])
        model = untrained_model(store, Settings(width=sizes.width), seed=0, device=device)
        for precision in ("float32", "bfloat16"):
            for batch in (8, 64):
                using = replace(model, precision=precision)
                using.harmonize_slices(0, slices[:batch], for_each, batch=batch)
                begin = time.perf_counter()
                for _ in range(sizes.scans):
                    using.harmonize_slices(0, slices, for_each, batch=batch)
                taken = (time.perf_counter() - begin) / sizes.scans
                figures[f"{precision}, {batch} slices at a time [s/scan]"] = taken
    return figures


PARTS: dict[str, Callable[..., Figures]] = {
    part.__name__: part for part in (ceilings, version, batch_sizes, job, second_step_exactly, harmonize)
}


@contextmanager
def made(
    sizes: Sizes, device: torch.device, shape: tuple[int, int], number: int, precision: str, *, batch_size: int = 4
) -> Iterator[FirstStep]:
    """Step 1 as a version does it, 0 being operation by operation, at its beginning and on random slices."""
    parameters = Settings(width=sizes.width, batch_size=batch_size)
    with tempfile.TemporaryDirectory() as folder, working_threads(1) as for_each:
        store = random_store(Path(folder), max(sizes.slices, batch_size), *shape)
        model = untrained_model(store, parameters, seed=0, device=device)
        batches = Batches(store, device, region=parameters.loss_region)
        chosen = choose_precision(precision, device)
        if number:
            yield GraphLearning(model, batches, parameters, precision=chosen, version=VERSIONS[number])
        else:
            yield EmbeddingLearning(model, batches, parameters, precision=chosen, for_each=for_each)


def every(learning: FirstStep, steps: int) -> Iterator[np.ndarray]:
    """The first whole batches of as many epochs as are needed, each epoch announced to the step."""
    store, size = learning.batches.store, learning.parameters.batch_size
    done = epoch = 0
    while done < steps:
        epoch += 1
        order = shuffled_batches(len(store), size=size, seed=0, step=1, epoch=epoch)
        whole = [indices for indices in order if len(indices) == size][: steps - done]
        learning.begin_epoch(0, whole)
        yield from whole
        done += len(whole)


def run(learning: FirstStep, steps: int) -> Tensor:
    """Train for some steps: the total losses (steps,), on the CPU."""
    watch = OutputWatch(SCANNERS, learning.batches.device)
    return torch.stack([learning.train(indices, watch)[-1].clone() for indices in every(learning, steps)]).cpu()


def step_seconds(learning: FirstStep, sizes: Sizes) -> float:
    """Median seconds of a step, the device's own time from one step's end to the next one's."""
    device = learning.batches.device
    begin = time.perf_counter()
    run(learning, TRIED)
    fitting = int(sizes.timed_seconds * TRIED / (time.perf_counter() - begin))
    watch = OutputWatch(SCANNERS, device)
    marks = [mark(device)]
    for indices in every(learning, min(max(fitting, TRIED), sizes.steps)):
        learning.train(indices, watch)
        marks.append(mark(device))
    wait(device)
    return statistics.median(between(*pair) for pair in pairwise(marks))


def seconds(work: Callable[[], object], device: torch.device, sizes: Sizes) -> float:
    """Median seconds of some work."""
    for _ in range(2):
        work()
    marks = [mark(device)]
    for _ in range(sizes.repeats):
        work()
        marks.append(mark(device))
    wait(device)
    return statistics.median(between(*pair) for pair in pairwise(marks))


def mark(device: torch.device) -> Any:
    """A moment, of the device's work where it is a GPU."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def between(begin: Any, end: Any) -> float:
    """Seconds between two moments."""
    return end - begin if isinstance(begin, float) else begin.elapsed_time(end) / 1e3


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def kernels(learning: FirstStep, steps: int, file: Path) -> Figures:
    """A step's kernels and the share of the time in which one runs; on a CPU, operations.

    `file` takes the longest, and all of a step in their turn.
    """
    if learning.batches.device.type != "cuda":
        with Operations() as counted:
            run(learning, steps)
        return {"operations a step": round(counted.count / steps)}
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        begin = time.perf_counter()
        run(learning, steps)
        taken = time.perf_counter() - begin
    busy: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    on_device = [event for event in profiled.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    for event in on_device:
        busy[event.name] += event.device_time_total
        calls[event.name] += 1
    lines = [
        f"{spent / steps:9.1f} us {calls[name] / steps:7.1f} x  {name[:NAMED]}" for name, spent in busy.most_common()
    ]
    on_device.sort(key=lambda event: event.time_range.start)
    last = on_device[-(len(on_device) // steps) :]
    turns = [f"{event.device_time_total:9.1f} us  {event.name[:NAMED]}" for event in last]
    file.write_text("\n".join([*lines[:TOP_KERNELS], "", "in turn, of the last step:", *turns]) + "\n")
    return {"kernels a step": sum(calls.values()) / steps, "busy share": sum(busy.values()) / 1e6 / taken}


class Operations(TorchDispatchMode):
    """Counts the operations that compute or copy: on a GPU each is a kernel or more."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        views = [result.alias_info for result in func._schema.returns]
        self.count += not any(alias is not None and not alias.is_write for alias in views)
        return func(*args, **(kwargs or {}))


def floors(encoder: nn.Module, shape: tuple[int, int]) -> tuple[int, int]:
    """What a step takes at least of one slice of one scanner: multiply-adds of its convolutions, and bytes."""
    maps = Maps()
    with torch.no_grad(), maps, FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(1, 1, *shape, device=next(encoder.parameters()).device))
    return BACKWARD * counter.get_total_flops() // 2, TRANSFERS * 2 * maps.numbers


class Maps(TorchDispatchMode):
    """Counts the numbers in the maps that convolutions make."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.numbers += made.numel()
        return made


def repeated(store: SliceStore, count: int) -> SliceStore:
    """A store of `count` slices: its own again and again, each at a place of its own."""
    return replace(chosen_slices(store, np.arange(count) % len(store)), positions=np.arange(count))


@contextmanager
def allowing_tf32(allowed: bool) -> Iterator[None]:
    """Whether convolutions of float32 may round to TF32, inside."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def main() -> None:
    """One part: `python -m benchmarks.gpu_parts PART DEVICE OUT OPTIONS [small]`."""
    part, device, out, options, *small = sys.argv[1:]
    figures = PARTS[part](SMALL if small else Sizes(), choose_device(device), Path(out), **json.loads(options))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
