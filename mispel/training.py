"""Algorithm 1: Step 1 learns encoders and decoders, Step 2 the decoders alone (paper, section 3.2)."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.errors import Caution
from core.kernels import announced
from mispel.batches import Batches
from mispel.checkpoints import Checkpoint, Checkpoints
from mispel.collapse import OutputWatch
from mispel.compute import ForEach, choose_precision, here, on_gpu, working_threads
from mispel.edge_watch import EdgeWatch, edge_caution
from mispel.embedding_cache import EmbeddingCache, build_cache
from mispel.graph_steps import first_step, second_step
from mispel.model import Model, new_model
from mispel.network import decode
from mispel.parallel import ALONE, Ranks
from mispel.parameters import Settings
from mispel.passes import WARM_UP_STEPS, run_step
from mispel.slices import SliceStore
from mispel.step2_optimum import Problem, solve
from mispel.steps import LOSSES

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
        brain_means=store.brain_means,
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
        settled = step1.epoch * learning.batches_a_pass >= WARM_UP_STEPS
        del learning  # and its memory on a GPU
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
