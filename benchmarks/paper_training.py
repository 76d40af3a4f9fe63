"""The paper's MISPEL training on a study's real scans, at full width: some steps measured, the whole extrapolated.

    python -m studies phantom --subjects 18 --voxel-size-mm 1 --out FOLDER
    python -m benchmarks.paper_training FOLDER/scans.tsv --steps 50

Prints for each part CPU and wall seconds, the anonymous memory it took (mapped pages of files are the
system's to drop) and the process's peak, and what the paper's 100 + 100 epochs would take at this pace.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from core.jobs.command import progress
from core.sheet import read_sheet
from mispel.batches import Batches
from mispel.bench import anonymous_mb, chosen_slices, peak_mb
from mispel.collapse import OutputWatch
from mispel.compute import choose_precision, working_threads
from mispel.embedding_cache import build_cache
from mispel.parameters import Parameters
from mispel.slices import SliceStore, build_store
from mispel.steps import DecoderFitting, EmbeddingLearning, Step
from mispel.training import untrained_model

CACHED = 40
"""Slices that are encoded and on which Step 2 is measured."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, help="the study's sheet")
    parser.add_argument("--steps", type=int, default=50, help="of Step 1 (default: 50)")
    parser.add_argument("--threads", type=int, default=2, help="scanners side by side (default: 2)")
    parser.add_argument("--preset", default="paper", help="default: paper")
    given = parser.parse_args(argv)
    parameters = Parameters(preset=given.preset)
    device = torch.device("cpu")
    meter = Meter()
    with tempfile.TemporaryDirectory(prefix="paper-training-") as folder:
        store = build_store(read_sheet(given.scans, scale="brain"), Path(folder), outside=parameters.outside)
        meter.add(f"{len(store)} slices of {store.box.shape} from {len(store.scanners)} scanners to disk", 1, 1)
        model = untrained_model(store, parameters, seed=0, device=device)
        batches = Batches(store, device, region=parameters.loss_region)
        precision = choose_precision(parameters.precision, device)
        with working_threads(given.threads) as for_each:
            learning = EmbeddingLearning(model, batches, parameters, precision=precision, for_each=for_each)
            an_epoch = learning.batches_a_pass
            run(learning, given.steps, "step 1")
            meter.add(f"Step 1, {precision}: {given.steps} steps", given.steps, an_epoch * parameters.step1_epochs)
            model.coefficients.requires_grad_(False)
            part = middle_slices(store, CACHED)
            cache = build_cache(model, part, Path(folder), limit_gb=0, for_each=for_each)
            meter.add(f"encoding {CACHED} slices", CACHED, len(store))
        fitting = DecoderFitting(model, Batches(part, device, region=parameters.loss_region), parameters, cache=cache)
        steps = CACHED // parameters.batch_size
        run(fitting, steps, "step 2")
        meter.add(f"Step 2, Adam: {steps} steps", steps, an_epoch * parameters.step2_epochs)
    table = pd.DataFrame(meter.rows)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.1f}"))
    total = table["whole_wall_h"].sum()
    print(f"the whole: {total:.1f} h on {given.threads} threads; peak memory {peak_mb():.0f} MB, mapped files included")
    return 0


def run(step: Step, count: int, what: str) -> None:
    """So many steps on slices drawn at random."""
    random = np.random.default_rng(0)
    watch = OutputWatch(step.model.scanners, step.batches.device)
    for _ in progress(range(count), what=what, total=count):
        step.train(np.sort(random.choice(len(step.batches.store), step.parameters.batch_size, replace=False)), watch)


def middle_slices(store: SliceStore, count: int) -> SliceStore:
    """The store's middle slices, so many."""
    return chosen_slices(store, slice(len(store) // 2, len(store) // 2 + count))


class Meter:
    """What each part took since the one before."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self._restart()

    def add(self, part: str, done: int, whole: int) -> None:
        """End a part that did `done` of the `whole` job's units."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        self.rows.append(
            {
                "part": part,
                "cpu_s": cpu,
                "wall_s": wall,
                "anonymous_mb": anonymous_mb(),
                "units_of_whole": f"{done} of {whole}",
                "whole_wall_h": wall * whole / done / 3600,
            }
        )
        self._restart()

    def _restart(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()


if __name__ == "__main__":
    sys.exit(main())
