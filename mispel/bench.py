"""`python -m mispel bench`: what MISPEL's speed-ups bring, as one table.

Every figure is the median over rounds in which all variants run in turn, each in a process of its own:
CPU and wall seconds without imports and warming up, and how far the process's memory rose above what it
was after imports. Slices are random; the arithmetic does not depend on what they show.
"""

from __future__ import annotations

import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.jobs.command import progress
from mispel.batches import Batches
from mispel.collapse import OutputWatch
from mispel.compute import processor_computes_bfloat16, working_threads
from mispel.embedding_cache import EmbeddingCache, build_cache
from mispel.model import Model
from mispel.parameters import Parameters, Settings
from mispel.passes import run_step
from mispel.plain_port import PlainMispel
from mispel.slices import Box, Grid, SliceStore, new_array
from mispel.step2_optimum import Problem, solve
from mispel.steps import DecoderFitting, EmbeddingLearning, Step
from mispel.training import untrained_model

SCANNERS = ("a", "b", "c", "d")
CPU = torch.device("cpu")


def random_store(folder: Path, slices: int, height: int, width: int) -> SliceStore:
    """Slices of four scanners that see one random picture with different contrast, the outer third empty."""
    images, depths = [], []
    for number in range(len(SCANNERS)):
        array = new_array(folder / f"slices-{number}.npy", (slices, height, width), np.float32)
        for index in range(slices):
            random = np.random.default_rng([index])
            picture = random.gamma(4, 0.25, (height // 6 + 1, width // 6 + 1)).repeat(6, 0).repeat(6, 1)
            picture = picture[:height, :width] ** (0.8 + 0.15 * number)
            noise = np.random.default_rng([index, number]).normal(0, 0.03, picture.shape)
            inside = np.zeros_like(picture)
            inside[height // 8 : -height // 8, width // 8 : -width // 8] = 1
            array[index] = np.maximum(picture + noise, 0.01) * inside
        array.flush()
        images.append(array)
        depths.append(np.broadcast_to(inside.astype(np.uint8), array.shape))
    return SliceStore(
        scanners=SCANNERS,
        images=tuple(images),
        depths=tuple(depths),
        present=np.ones((slices, len(SCANNERS)), bool),
        subjects=np.repeat("01", slices),
        positions=np.arange(slices),
        box=Box(0, height, 0, width),
        grid=Grid((height, width, slices), np.eye(4)),
        scale="none",
        checksum="",
    )


class Meter:
    """CPU seconds, wall seconds and memory of what runs inside `measured`."""

    def __init__(self) -> None:
        self.before_mb = peak_mb()

    @contextlib.contextmanager
    def measured(self, figures: dict[str, float]) -> Iterator[None]:
        """Add `cpu_s`, `wall_s` and `peak_mb` to `figures`."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        figures["cpu_s"] = time.process_time() - cpu
        figures["wall_s"] = time.perf_counter() - wall
        figures["peak_mb"] = peak_mb() - self.before_mb


def chosen_slices(store: SliceStore, chosen: slice | np.ndarray) -> SliceStore:
    """A store of some of a store's slices, by their numbers; one may be there several times."""
    return replace(
        store,
        images=tuple(array[chosen] for array in store.images),
        depths=tuple(array[chosen] for array in store.depths),
        present=store.present[chosen],
        subjects=store.subjects[chosen],
        positions=store.positions[chosen],
    )


def peak_mb() -> float:
    """The most memory that the process has held, mapped pages of files included, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def anonymous_mb() -> float:
    """Memory that no file backs, in MB."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("RssAnon:")[1].split()[0]) / 1024


def _plain_port(parameters: Settings) -> PlainMispel:
    return PlainMispel(len(SCANNERS), parameters.width, parameters.embeddings)


def step1(folder: Path, *, height: int, width: int, variant: str, threads: int = 1, steps: int = 3) -> dict[str, float]:
    """One step of Step 1 at the paper's width: 4 slices of 4 scanners, forward, backward, Adam."""
    store = random_store(folder, 4 * (steps + 1), height, width)
    batches = Batches(store, CPU, region="box")
    parameters = Settings()
    every = [np.arange(4 * number, 4 * number + 4) for number in range(steps + 1)]
    figures: dict[str, float] = {}
    with working_threads(threads) as for_each:
        meter = Meter()
        if variant == "plain":
            plain = _plain_port(parameters)

            def train(indices: np.ndarray) -> None:
                plain.learn_embeddings(batches.images(indices), parameters.lambda1, parameters.lambda2)

        else:
            model = untrained_model(store, parameters, seed=0, device=CPU)
            learning = EmbeddingLearning(model, batches, parameters, precision=variant, for_each=for_each)
            watch = OutputWatch(store.scanners, CPU)

            def train(indices: np.ndarray) -> None:
                learning.train(indices, watch)

        train(every[0])
        with meter.measured(figures):
            for indices in every[1:]:
                train(indices)
    return {name: value if name == "peak_mb" else value / steps for name, value in figures.items()}


def step2_epoch(folder: Path, *, height: int, width: int, slices: int, variant: str) -> dict[str, float]:
    """One epoch of Step 2 with Adam, from cached embeddings or encoding anew (the plain port)."""
    store = random_store(folder, slices, height, width)
    batches = Batches(store, CPU, region="box")
    parameters = Settings(step2_epochs=1)
    figures: dict[str, float] = {}
    meter = Meter()
    with working_threads(1) as for_each:
        if variant == "anew":
            plain = _plain_port(parameters)
            with meter.measured(figures):
                for begin in range(0, slices, 4):
                    plain.fit_decoders(batches.images(np.arange(begin, min(begin + 4, slices))), 1.0, 4.0)
        else:
            model = untrained_model(store, parameters, seed=0, device=CPU)
            limit = 0 if variant == "float16" else 1e3
            cache = build_cache(model, store, folder, limit_gb=limit, for_each=for_each)
            meter = Meter()
            with meter.measured(figures):
                _fit(model, batches, cache, epochs=1)
    return figures


def _one_epoch(step: Step, watch: OutputWatch) -> None:
    count = len(step.batches.store)
    for begin in range(0, count, 4):
        step.train(np.arange(begin, min(begin + 4, count)), watch)


def _fit(model: Model, batches: Batches, cache: EmbeddingCache, epochs: int) -> None:
    fitting = DecoderFitting(model, batches, Settings(), cache=cache)
    watch = OutputWatch(model.scanners, CPU)
    for _ in range(epochs):
        _one_epoch(fitting, watch)
    model.coefficients.requires_grad_(False)


def step2_solver(folder: Path, *, height: int, width: int, slices: int, variant: str) -> dict[str, float]:
    """Step 2 from cached embeddings: 20 epochs of Adam, or the certified optimum; after a short, narrow Step 1."""
    store = random_store(folder, slices, height, width)
    batches = Batches(store, CPU, region="box")
    parameters = Parameters(preset="demo", step1_epochs=1).settings()
    model = untrained_model(store, parameters, seed=0, device=CPU)
    figures: dict[str, float] = {}
    with working_threads(1) as for_each:
        learning = EmbeddingLearning(model, batches, parameters, precision="float32", for_each=for_each)
        run_step(learning, seed=0, settled=False)
        cache = build_cache(model, store, folder, limit_gb=1e3, for_each=for_each)
        problem = Problem(store=store, cache=cache, lambda3=1.0, lambda4=4.0, for_each=for_each)
        start = model.coefficients.numpy().copy()
        # loads what is compiled
        problem.sums(problem.drawn_voxels(0), start, 1.0)
        meter = Meter()
        with meter.measured(figures):
            if variant == "adam":
                _fit(model, batches, cache, epochs=20)
            else:
                solution = solve(problem, start, seed=0)
        reached = model.coefficients.numpy() if variant == "adam" else solution.coefficients
        figures["loss"] = problem.sums_of_all(reached, 1.0, second=False).loss
        if variant == "exact" and solution.gap is not None:
            figures["gap"] = solution.gap
    # the peak so far is Step 1's
    del figures["peak_mb"]
    return figures


def growth(folder: Path, *, height: int, width: int, slices: int) -> dict[str, float]:
    """Both steps on more and more slices: anonymous memory must stay, time and disk grow in proportion."""
    store = random_store(folder, slices, height, width)
    batches = Batches(store, CPU, region="box")
    parameters = Parameters(preset="demo").settings()
    model = untrained_model(store, parameters, seed=0, device=CPU)
    figures: dict[str, float] = {}
    with working_threads(1) as for_each:
        meter = Meter()
        before = anonymous_mb()
        with meter.measured(figures):
            learning = EmbeddingLearning(model, batches, parameters, precision="float32", for_each=for_each)
            _one_epoch(learning, OutputWatch(store.scanners, CPU))
            model.coefficients.requires_grad_(False)
            anonymous = [anonymous_mb()]
            cache = build_cache(model, store, folder, limit_gb=0, for_each=for_each)
            anonymous.append(anonymous_mb())
            problem = Problem(store=store, cache=cache, lambda3=1.0, lambda4=4.0, for_each=for_each)
            solve(problem, model.coefficients.numpy(), seed=0)
            anonymous.append(anonymous_mb())
    figures["peak_mb"] = max(anonymous) - before
    figures["disk_mb"] = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    return figures


TASKS: dict[str, Callable[..., dict[str, float]]] = {
    task.__name__: task for task in (step1, step2_epoch, step2_solver, growth)
}


def plans(*, small: bool) -> list[tuple[str, str, str, dict[str, Any]]]:
    """What is measured: (group, variant, task, its options); a group's first variant is what the others go by."""
    fast = "bfloat16" if processor_computes_bfloat16() else "float32"
    rows: list[tuple[str, str, str, dict[str, Any]]] = []
    for height, width in ((96, 112),) if small else ((96, 112), (184, 224)):
        group = f"Step 1, a step of 4 x 4 slices of {height} x {width}"
        size = {"height": height, "width": width}
        rows.append((group, "plain float32", "step1", {**size, "variant": "plain"}))
        rows.append((group, "float32", "step1", {**size, "variant": "float32"}))
        if fast == "bfloat16":
            rows.append((group, "bfloat16", "step1", {**size, "variant": fast}))
        rows.append((group, f"{fast}, 2 threads", "step1", {**size, "variant": fast, "threads": 2}))
    size = {"height": 96, "width": 112, "slices": 8 if small else 24}
    group = f"Step 2, an epoch of {size['slices']} slices of 96 x 112"
    for variant, name in (
        ("anew", "plain, encoding anew"),
        ("float32", "cached float32"),
        ("float16", "cached float16"),
    ):
        rows.append((group, name, "step2_epoch", {**size, "variant": variant}))
    size = {"height": 96, "width": 112, "slices": 80 if small else 240}
    group = f"Step 2, {size['slices']} slices of 96 x 112 from the cache"
    rows.append((group, "Adam, 20 epochs", "step2_solver", {**size, "variant": "adam"}))
    rows.append((group, "exact", "step2_solver", {**size, "variant": "exact"}))
    for slices in (20, 40, 80) if small else (80, 160, 320):
        size = {"height": 96, "width": 112, "slices": slices}
        rows.append(("both steps, width 8, float16 cache", f"{slices} slices", "growth", size))
    return rows


def bench(*, rounds: int, small: bool) -> pd.DataFrame:
    """Measure all plans; returns the table of medians.

    Columns: what, variant, cpu_s, wall_s, peak_mb; cpu_ratio, wall_ratio, peak_ratio, by the group's first
    variant; note (the loss and its certificate, the disk's share)."""
    todo = plans(small=small)
    measured: list[list[dict[str, float]]] = [[] for _ in todo]
    places = [(number, plan) for _ in range(rounds) for number, plan in enumerate(todo)]
    for number, (_, _, task, options) in progress(places, what="bench", total=len(places)):
        command = [sys.executable, "-m", "mispel.bench", task, json.dumps(options)]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr}")
        measured[number].append(json.loads(ended.stdout.splitlines()[-1]))
    rows = []
    firsts: dict[str, dict[str, float]] = {}
    for (group, variant, _, _), results in zip(todo, measured, strict=True):
        median = {name: statistics.median(result[name] for result in results) for name in results[0]}
        first = firsts.setdefault(group, median)
        notes = [f"{name} {median[name]:.5g}" for name in ("loss", "gap", "disk_mb") if name in median]
        ratios = {f"{short}_ratio": median[name] / first[name] for short, name in _RATIOS.items() if first.get(name)}
        times = {name: median.get(name) for name in _RATIOS.values()}
        rows.append({"what": group, "variant": variant, **times, **ratios, "note": ", ".join(notes)})
    return pd.DataFrame(rows)


_RATIOS = {"cpu": "cpu_s", "wall": "wall_s", "peak": "peak_mb"}


def main() -> None:
    """One measurement, in a process of its own: `python -m mispel.bench TASK OPTIONS`."""
    task, options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="mispel-bench-") as folder:
        figures = TASKS[task](Path(folder), **json.loads(options))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
