"""One training loop for all that learns pass by pass: epochs, checkpoints, a watch over outputs, precision, progress.

MISPEL's two steps go through it, and so do other methods' networks.
"""

from __future__ import annotations

import abc
import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core.errors import Caution
from core.jobs.command import progress
from mispel.batches import shuffled_batches
from mispel.checkpoints import Checkpoint, Checkpoints
from mispel.collapse import OutputWatch, check_losses, rise
from mispel.compute import here
from mispel.forecast import Forecast
from mispel.parallel import ALONE

PLATEAU_CHANGE = 1e-3
"""A loss that fell by less than this share has not fallen."""
WARM_UP_STEPS = 100
"""An output may be flat for so many batches."""


class Learning(abc.ABC):
    """What learns from batches of items, pass by pass.

    title: what a person calls it. number: in the method's order; with the seed it decides the order of items.
    epochs: at most so many passes. losses: their names; the last is `total`, by which a training diverges. lacking:
    those that may be NaN, since the learning has none. precision: what it computes in, float32 or bfloat16. ranks: the
    processes that do it together. advice: what to change where it diverges.
    """

    title: str
    number: int
    epochs: int
    losses: tuple[str, ...]
    lacking: frozenset[str] = frozenset()
    precision = "float32"
    ranks = ALONE
    advice: str
    device: torch.device
    items: int
    batch_size: int

    @property
    def name(self) -> str:
        """Of its checkpoints."""
        return f"step{self.number}"

    @property
    @abc.abstractmethod
    def described(self) -> str:
        """What a pass goes over, as a person says it."""

    @property
    def batches_a_pass(self) -> int:
        """Batches of an epoch, which is a pass over all items."""
        return math.ceil(self.items / self.batch_size)

    @contextlib.contextmanager
    def in_float32(self) -> Iterator[None]:
        """Inside, it computes in float32."""
        usual, self.precision = self.precision, "float32"
        try:
            yield
        finally:
            self.precision = usual

    @abc.abstractmethod
    def new_watch(self) -> OutputWatch:
        """A watch over an epoch's outputs."""

    def begin_epoch(self, epoch: int, order: Sequence[np.ndarray]) -> None:
        """Be told the epoch, and its batches, before `train` is given them one after the other."""

    @abc.abstractmethod
    def train(self, indices: np.ndarray, watch: OutputWatch) -> Tensor:
        """Train on a batch of items, show its outputs to `watch`.

        Returns the losses (n,) on the device: nothing waits for them. Of several ranks, what they and `watch` have
        adds up to the whole.
        """

    @abc.abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The state between epochs."""

    @abc.abstractmethod
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""

    def reason_to_stop(self, history: Sequence[Mapping[str, Any]]) -> str | None:
        """Why it ends after the last epoch of `history`, before all passes are done; None to go on."""
        return None

    def end(self) -> None:
        """Be told that it learns no more."""


def run_step(
    step: Learning, *, seed: int, checkpoints: Checkpoints | None = None, settled: bool | None = None
) -> Checkpoint:
    """Run a learning's epochs from its last checkpoint on, until they are done or a stopping rule applies.

    An epoch in bfloat16 whose loss rises far is undone and done again in float32: its batches are the same, and the
    next epoch is in bfloat16 again.
    `settled`: whether a flat output is an error or a warning; None, an error after `WARM_UP_STEPS` batches.
    Changes what learns in place. Raises `TrainingError` for a dead, collapsed or diverged output.
    """
    this = here(step.device, step.ranks.count)
    state = None if checkpoints is None else checkpoints.latest(step.name)
    if state is None:
        state = Checkpoint(epoch=0, tensors={}, history=[], stopped=None)
    else:
        step.restore(state.tensors)
        if state.trained_on != (this,):
            warnings.warn(
                f"{step.title}: trained on {'; '.join(state.trained_on)} so far, it goes on on {this}: "
                "what is learned will have exactly the bytes of neither",
                Caution,
                stacklevel=2,
            )
    count = step.batches_a_pass
    epochs = range(state.epoch + 1, step.epochs + 1) if state.stopped is None else range(0)
    what = step.title
    if epochs:
        passes = f"{len(epochs)} passes" if len(epochs) > 1 else "1 pass"
        print(f"{what}: {passes} over {step.described}", file=sys.stderr)
    forecast = Forecast(len(epochs) * count, step.device)
    bar: tqdm[Any]
    with progress((), what=what, total=len(epochs) * count) as bar:

        def batch_is_done() -> None:
            bar.update()
            if told := forecast.batch_is_done():
                bar.write(f"{what}: {told}", file=sys.stderr)

        for epoch in epochs:
            when = f"{what}, epoch {epoch}"
            row, watch = _run_epoch(step, epoch, seed=seed, batch_is_done=batch_is_done)
            if state.history and step.precision != "float32" and rise([*_totals(state.history), row["total"]]):
                bar.write(f"{when}: the loss rose to {row['total']:.3g}; it is done again in float32", file=sys.stderr)
                bar.update(-count)
                step.restore(state.tensors)
                with step.in_float32():
                    row, watch = _run_epoch(step, epoch, seed=seed, batch_is_done=batch_is_done)
            enough = epoch * count >= WARM_UP_STEPS if settled is None else settled
            if enough or epoch == step.epochs:
                watch.check(when, settled=enough)
            history = [*state.history, row]
            check_losses(when, _totals(history), last=epoch == step.epochs, advice=step.advice)
            # copies: a later epoch writes into its tensors in place, and may have to be undone
            tensors = {name: tensor.clone() for name, tensor in step.tensors().items()}
            trained_on = tuple(dict.fromkeys([*state.trained_on, this]))
            state = Checkpoint(epoch, tensors, history, step.reason_to_stop(history), trained_on)
            if checkpoints is not None and step.ranks.first:
                checkpoints.save(step.name, state)
            bar.set_description_str(f"{what}, epoch {epoch} of {step.epochs}, loss {row['total']:.4f}", refresh=False)
            if state.stopped is not None:
                break
    step.end()
    return state


def _run_epoch(
    step: Learning, epoch: int, *, seed: int, batch_is_done: Callable[[], None]
) -> tuple[dict[str, Any], OutputWatch]:
    """One pass over all slices in an order drawn from seed, step and epoch: its losses' row, and its outputs' watch."""
    watch = step.new_watch()
    losses = torch.zeros(len(step.losses), dtype=torch.float64, device=step.device)
    order = shuffled_batches(step.items, size=step.batch_size, seed=seed, step=step.number, epoch=epoch)
    step.begin_epoch(epoch, order)
    for indices in order:
        losses += step.train(indices, watch).double()
        batch_is_done()
    step.ranks.add_up(losses)
    step.ranks.add_up(watch.sums)
    # None for a loss that the step has not
    values = [
        None if math.isnan(value) and name in step.lacking else value
        for name, value in zip(step.losses, (losses / len(order)).tolist(), strict=True)
    ]
    named = dict(zip(step.losses, values, strict=True))
    row = {"step": step.number, "epoch": epoch, **named, "precision": step.precision}
    return row, watch


def _totals(history: Sequence[Mapping[str, Any]]) -> list[float]:
    return [row["total"] for row in history]


def plateau(history: Sequence[Mapping[str, Any]], patience: int) -> str | None:
    """That the loss has not fallen in the last `patience` epochs (0: never told), or None."""
    totals = _totals(history)
    if patience and len(totals) > patience:
        before, since = min(totals[:-patience]), min(totals[-patience:])
        if since > before * (1 - PLATEAU_CHANGE):
            return (
                f"the loss has not fallen by {PLATEAU_CHANGE:.1%} in the {patience} epochs up to {history[-1]['epoch']}"
            )
    return None
