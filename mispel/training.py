"""Algorithm 1: Step 1 learns encoders and decoders, Step 2 the decoders alone (paper, section 3.2)."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from core.errors import Caution
from core.jobs.command import progress
from core.kernels import announced
from mispel.batches import Batches, shuffled_batches
from mispel.checkpoints import Checkpoint, Checkpoints
from mispel.collapse import OutputWatch, check_losses, rise
from mispel.compute import ForEach, choose_precision, here, on_gpu, working_threads
from mispel.edge_watch import EdgeWatch, edge_caution
from mispel.embedding_cache import EmbeddingCache, build_cache
from mispel.forecast import Forecast
from mispel.graph_steps import first_step, second_step
from mispel.model import Model, new_model
from mispel.network import decode
from mispel.parallel import ALONE, Ranks
from mispel.parameters import Settings
from mispel.slices import SliceStore
from mispel.step2_optimum import Problem, solve
from mispel.steps import Step

PLATEAU_CHANGE = 1e-3
"""A loss that fell by less than this share has not fallen."""
WARM_UP_STEPS = 100
"""An output may be flat for so many batches of Step 1."""

LOSSES = ("reconstruction", "coupling", "harmonization", "total")
LOSS_COLUMNS = ("step", "epoch", *LOSSES, "precision")


@dataclass
class Training:
    """A trained model, the losses of every epoch (`LOSS_COLUMNS`), and what else is worth knowing."""

    model: Model
    history: list[dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)


def untrained_model(store: SliceStore, parameters: Settings, *, seed: int, device: torch.device) -> Model:
    """The model for a store's slices, as training begins."""
    return new_model(
        store.scanners,
        width=parameters.width,
        embeddings=parameters.embeddings,
        relu=parameters.decoder == "relu",
        seed=seed,
        box=store.box,
        grid=store.grid,
        scale=store.scale,
        outside=parameters.outside,
        precision=choose_precision(parameters.precision, device),
        device=device,
    )


def train(
    store: SliceStore,
    parameters: Settings,
    *,
    seed: int,
    threads: int,
    device: torch.device,
    folder: Path,
    checkpoints: Checkpoints | None = None,
    ranks: Ranks = ALONE,
) -> Training:
    """Algorithm 1 on a store of slices; `folder` takes the embeddings between the steps.

    Of several `ranks` each does its share of Step 1, and the first all that follows; the others' training ends there.
    On the CPU the weights depend on slices, parameters and seed alone: neither on `threads` nor on
    whether the training was killed and resumed from `checkpoints`.
    Raises `TrainingError` for a dead, collapsed or diverged output.
    """
    model = untrained_model(store, parameters, seed=seed, device=device)
    batches = Batches(store, device, region=parameters.loss_region)
    # a GPU's work is started by one thread
    threads = 1 if on_gpu(device) else min(threads, len(store.scanners))
    with working_threads(threads) as for_each:
        learning = first_step(model, batches, parameters, precision=model.precision, for_each=for_each, ranks=ranks)
        step1 = run_step(learning, seed=seed, checkpoints=checkpoints)
        if not ranks.first:
            return Training(model, step1.history)
        del learning  # and its memory on a GPU
        settled = step1.epoch * batches_a_pass(store, parameters) >= WARM_UP_STEPS
        cache = build_cache(model, store, folder, limit_gb=parameters.cache_limit_gb, for_each=for_each)
        if parameters.step2_solver == "exact":
            step2, gap = solve_decoders(model, batches, cache, parameters, seed=seed, for_each=for_each)
        else:
            fitting = second_step(model, batches, parameters, cache=cache)
            step2, gap = run_step(fitting, seed=seed, checkpoints=checkpoints, settled=settled), None
        edge_biases = look_at_outputs(model, batches, cache, parameters, settled=settled)
    facts = {
        "seed": seed,
        "device": device.type,
        "trained_on": list(dict.fromkeys([*step1.trained_on, *step2.trained_on])),
        "precision": model.precision,
        "embedding_cache": str(cache.dtype),
        "subjects": list(dict.fromkeys(store.subjects.tolist())),
        "slices": len(store),
        "scans_checksum": store.checksum,
        "step1_epochs": step1.epoch,
        "step1_stopped": step1.stopped,
        "step2_epochs": step2.epoch,
        "step2_stopped": step2.stopped,
        "step2_gap": gap,
        "edge_biases": edge_biases,
    }
    return Training(model, [*step1.history, *step2.history], facts)


def solve_decoders(
    model: Model,
    batches: Batches,
    cache: EmbeddingCache,
    parameters: Settings,
    *,
    seed: int,
    for_each: ForEach,
) -> tuple[Checkpoint, float | None]:
    """Step 2 to its certified optimum instead of by Adam: sets the coefficients of `model` by `mispel.step2_optimum`.

    Returns what a training's end is, an epoch being a pass over all slices, and the gap; prints the gap.
    """
    problem = Problem(
        store=batches.store,
        cache=cache,
        lambda3=parameters.lambda3,
        lambda4=parameters.lambda4,
        for_each=for_each,
        relu=model.relu,
        brain_only=parameters.loss_region == "brain",
    )
    with announced("Step 2's solver"):
        solution = solve(problem, model.coefficients.cpu().numpy(), seed=seed)
    model.coefficients.copy_(torch.from_numpy(solution.coefficients))
    history = [
        {"step": 2, "epoch": epoch, **losses, "precision": "float32"} for epoch, losses in enumerate(solution.passes)
    ]
    lowest = min(row["total"] for row in history)
    if solution.gap is None:
        reached = f"loss {lowest:.6g}; with ReLU decoders there is no bound of it"
    else:
        reached = f"loss {lowest:.6g}, at most {solution.gap:.1e} of it above the optimum"
    print(f"MISPEL step 2: {reached} ({len(history)} passes over all slices)", file=sys.stderr)
    return Checkpoint(len(history) - 1, {}, history, None, (here(model.device),)), solution.gap


def look_at_outputs(
    model: Model, batches: Batches, cache: EmbeddingCache, parameters: Settings, *, settled: bool
) -> dict[str, float | None]:
    """A last pass over all slices, with a trained model: its biases at the brain's edge, by scanner.

    Warns where they are large. Raises `TrainingError` for a dead or collapsed output, or warns of it where it may
    still be flat (not `settled`).
    """
    outputs_watch = OutputWatch(model.scanners, model.device)
    edge_watch = EdgeWatch(model.scanners, model.device)
    for begin in range(0, len(batches.store), parameters.batch_size):
        indices = np.arange(begin, min(begin + parameters.batch_size, len(batches.store)))
        images, depths = batches.images(indices), batches.depths(indices)
        outputs = decode(cache.embeddings(indices), model.coefficients, relu=model.relu)
        outputs_watch.add(images, outputs, depths)
        edge_watch.add(images, outputs, depths)
    outputs_watch.check("MISPEL step 2", settled=settled)
    biases = edge_watch.biases()
    caution = edge_caution(biases, parameters)
    if caution is not None:
        warnings.warn(caution, Caution, stacklevel=2)
    return biases


def batches_a_pass(store: SliceStore, parameters: Settings) -> int:
    """Steps of an epoch, which is a pass over all slices."""
    return math.ceil(len(store) / parameters.batch_size)


def run_step(
    step: Step, *, seed: int, checkpoints: Checkpoints | None = None, settled: bool | None = None
) -> Checkpoint:
    """Run a step's epochs from its last checkpoint on, until they are done or a stopping rule applies.

    An epoch in bfloat16 whose loss rises far is undone and done again in float32: its batches are the same, and the
    next epoch is in bfloat16 again.
    `settled`: whether a flat output is an error or a warning; None, an error after `WARM_UP_STEPS` batches.
    Changes the step's model in place. Raises `TrainingError` for a dead, collapsed or diverged output.
    """
    parameters, store = step.parameters, step.batches.store
    this = here(step.batches.device)
    state = None if checkpoints is None else checkpoints.latest(step.name)
    if state is None:
        state = Checkpoint(epoch=0, tensors={}, history=[], stopped=None)
    else:
        step.restore(state.tensors)
        if state.trained_on != (this,):
            warnings.warn(
                f"MISPEL step {step.number}: trained on {'; '.join(state.trained_on)} so far, it goes on on {this}: "
                "what is learned will have exactly the bytes of neither",
                Caution,
                stacklevel=2,
            )
    count = batches_a_pass(store, parameters)
    epochs = range(state.epoch + 1, step.epochs + 1) if state.stopped is None else range(0)
    what = f"MISPEL step {step.number}"
    if epochs:
        passes = f"{len(epochs)} passes" if len(epochs) > 1 else "1 pass"
        print(f"{what}: {passes} over {len(store)} slices of {len(store.scanners)} scanners", file=sys.stderr)
    forecast = Forecast(len(epochs) * count, step.batches.device)
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
            check_losses(when, _totals(history), last=epoch == step.epochs)
            # copies: a later epoch writes into its tensors in place, and may have to be undone
            tensors = {name: tensor.clone() for name, tensor in step.tensors().items()}
            trained_on = tuple(dict.fromkeys([*state.trained_on, this]))
            state = Checkpoint(epoch, tensors, history, _reason_to_stop(history, step), trained_on)
            if checkpoints is not None and step.ranks.first:
                checkpoints.save(step.name, state)
            bar.set_description_str(f"{what}, epoch {epoch} of {step.epochs}, loss {row['total']:.4f}", refresh=False)
            if state.stopped is not None:
                break
    step.model.coefficients.requires_grad_(False)
    return state


def _run_epoch(
    step: Step, epoch: int, *, seed: int, batch_is_done: Callable[[], None]
) -> tuple[dict[str, Any], OutputWatch]:
    """One pass over all slices in an order drawn from seed, step and epoch: its losses' row, and its outputs' watch."""
    store, device = step.batches.store, step.batches.device
    watch = OutputWatch(store.scanners, device)
    losses = torch.zeros(len(LOSSES), dtype=torch.float64, device=device)
    order = shuffled_batches(len(store), size=step.parameters.batch_size, seed=seed, step=step.number, epoch=epoch)
    step.begin_epoch(order)
    for indices in order:
        losses += step.train(indices, watch).double()
        batch_is_done()
    step.ranks.add_up(losses)
    step.ranks.add_up(watch.sums)
    # None for a loss that the step has not
    values = [
        None if math.isnan(value) and name == "coupling" else value
        for name, value in zip(LOSSES, (losses / len(order)).tolist(), strict=True)
    ]
    row = {"step": step.number, "epoch": epoch, **dict(zip(LOSSES, values, strict=True)), "precision": step.precision}
    return row, watch


def _totals(history: Sequence[Mapping[str, Any]]) -> list[float]:
    return [row["total"] for row in history]


def _reason_to_stop(history: list[dict[str, Any]], step: Step) -> str | None:
    """Why a step ends after the last epoch of `history` ("or until", Algorithm 1), or None."""
    last = history[-1]
    column, tolerance = step.tolerance
    if last[column] < tolerance:
        return f"{column} {last[column]:.4g} fell below {tolerance:.4g} in epoch {last['epoch']}"
    patience = step.parameters.plateau_epochs
    totals = _totals(history)
    if patience and len(totals) > patience:
        before, since = min(totals[:-patience]), min(totals[-patience:])
        if since > before * (1 - PLATEAU_CHANGE):
            return f"the loss has not fallen by {PLATEAU_CHANGE:.1%} in the {patience} epochs up to {last['epoch']}"
    return None


def example_slice(model: Model, store: SliceStore) -> dict[str, np.ndarray]:
    """What a figure of the embeddings needs (Fig. 2): the middle slice of the first subject with all scans.

    images (M, rows, columns), embeddings (M, L, rows, columns), outputs (M, rows, columns), all 0 outside the
    brain, coefficients (M, L), and whose slice it is. Rows run from the front of the head to its back.
    """
    complete = np.flatnonzero(store.present.all(axis=1))
    candidates = complete if complete.size else np.arange(len(store))
    candidates = candidates[store.subjects[candidates] == store.subjects[candidates[0]]]
    chosen = int(candidates[len(candidates) // 2])
    images, depths = (np.stack([array[chosen] for array in arrays]) for arrays in (store.images, store.depths))
    brain = depths > 0
    slices = torch.from_numpy(images)[:, None, None].to(model.device)
    embeddings = torch.stack([model.encode(number, slices[number])[0] for number in range(len(images))])
    outputs = decode(embeddings[None], model.coefficients, relu=model.relu)[0]
    return {
        "scanners": np.array(store.scanners),
        "subject": np.array(store.subjects[chosen]),
        "slice": np.array(store.positions[chosen]),
        "images": store.grid.upright(images * brain),
        "embeddings": store.grid.upright(embeddings.cpu().numpy() * brain[:, None]),
        "outputs": store.grid.upright(outputs.cpu().numpy() * brain),
        "coefficients": model.coefficients.cpu().numpy(),
    }
