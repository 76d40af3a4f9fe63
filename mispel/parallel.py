"""Several processes that train one model together, each on its share of every batch (`core.jobs.ranks`)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, distributed

from core.errors import InputError
from core.jobs.ranks import rank, ranks
from mispel.compute import on_gpu

Value = TypeVar("Value")
LONGEST_WAIT = timedelta(days=1)
"""For the first process to read all scans. One that ended is noticed at once."""


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is."""

    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.number == 0

    def share(self, indices: np.ndarray) -> np.ndarray:
        """This process's part of a batch's slice numbers: it may have none."""
        return indices[self.number :: self.count]

    def add_up(self, values: Tensor) -> None:
        """Replace values by their sum over all processes, the same bits in each."""
        if self.count > 1:
            distributed.all_reduce(values)

    def of_first(self, value: Value | None) -> Value:
        """What the first process gives, in all of them."""
        values = [value]
        if self.count > 1:
            distributed.broadcast_object_list(values)
        assert values[0] is not None
        return values[0]


ALONE = Ranks()


@contextlib.contextmanager
def together(device: torch.device) -> Iterator[Ranks]:
    """This process among those that were started together, connected while inside; all but the first are silent.

    Raises `InputError` where there are fewer GPUs than processes.
    """
    if ranks() == 1:
        yield ALONE
        return
    if on_gpu(device):
        if torch.cuda.device_count() < ranks():
            raise InputError(
                f"{ranks()} processes take a GPU each, and torch sees {torch.cuda.device_count()} here; give no more "
                "processes than that (fit_processes in a run's configuration, --processes by hand)"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu(device) else "gloo", timeout=LONGEST_WAIT)
    try:
        with contextlib.ExitStack() as stack:
            if rank() > 0:
                stack.enter_context(contextlib.redirect_stderr(stack.enter_context(open(os.devnull, "w"))))
            yield Ranks(rank(), ranks())
    finally:
        distributed.destroy_process_group()
