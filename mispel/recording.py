"""Work on a GPU recorded as CUDA graphs: a batch is a thousand kernels, which a graph starts at once."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import torch

from core.errors import Caution
from mispel.compute import on_gpu

Outputs = tuple[torch.Tensor, ...]
RUNS_BEFORE = 3
"""So often a piece of work runs as it is before it is recorded: libraries choose and allot at first."""


class Recorder:
    """Runs pieces of work, each named by a key: as they are for the first times, recorded and replayed from then on.

    Work must be a function of memory on the device that stays where it is, wait for nothing, and do the same for the
    same key. What it returned is overwritten by the next run. On a CPU nothing is recorded; nor is it after one
    recording failed, which is warned of.
    """

    def __init__(self, device: torch.device, *, record: bool = True) -> None:
        self.recording = record and on_gpu(device)
        self.stream = torch.cuda.Stream(device) if on_gpu(device) else None
        self.pool: Any = None
        self.runs: Counter[Hashable] = Counter()
        self.graphs: dict[Hashable, tuple[Any, Outputs]] = {}

    def __call__(self, key: Hashable, work: Callable[[], Outputs]) -> Outputs:
        """Run the work of a key."""
        self.runs[key] += 1
        if self.recording and key not in self.graphs and self.runs[key] > RUNS_BEFORE:
            self._record(key, work)
        if key in self.graphs:
            graph, outputs = self.graphs[key]
            graph.replay()
            return outputs
        if self.stream is None:
            return work()
        # where it is recorded later, as torch asks
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            outputs = work()
        torch.cuda.current_stream().wait_stream(self.stream)
        return outputs

    def _record(self, key: Hashable, work: Callable[[], Outputs]) -> None:
        usual = torch.cuda.current_stream() if self.stream is not None else None
        try:
            graph = torch.cuda.CUDAGraph()
            # one pool for all: no two run at once, and none keeps anything but its outputs
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                outputs = work()
        except RuntimeError as error:
            self.recording = False
            if usual is not None:
                torch.cuda.set_stream(usual)  # a recording that broke off leaves its own
            reason = str(error.__context__ or error).splitlines()[0]
            warnings.warn(
                f"MISPEL's batches can't be recorded as CUDA graphs here ({reason}); they are run kernel by kernel, "
                "which takes longer",
                Caution,
                stacklevel=2,
            )
            return
        self.pool = graph.pool()
        self.graphs[key] = graph, outputs
