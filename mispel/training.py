"""Algorithm 1: Step 1 learns encoders and decoders, Step 2 the decoders alone (paper, section 3.2)."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam

from mispel.batches import Batches, shuffled_batches
from mispel.cache import EmbeddingCache, build_cache
from mispel.checkpoints import Checkpoint, Checkpoints, load_optimizer, optimizer_tensors
from mispel.errors import TrainingError
from mispel.exact import Problem, solve
from mispel.losses import coupling_loss, harmonization_loss, reconstruction_loss, step1_loss, step2_loss
from mispel.model import Model, new_model
from mispel.network import decode
from mispel.parallel import ForEach, choose_precision, working_threads
from mispel.presets import Parameters
from mispel.slices import SliceStore
from studies.commandline import progress

PLATEAU_CHANGE = 1e-3
"""A loss that fell by less than this share has not fallen."""
SMALLEST_ACTIVE_SHARE = 0.01
SMALLEST_CONTRAST = 0.1
WARM_UP_STEPS = 100
"""An output may be flat for so many steps; the end of a step is always judged."""

LOSS_COLUMNS = ("step", "epoch", "reconstruction", "coupling", "harmonization", "total")


@dataclass
class Training:
    """A trained model, the losses of every epoch (`LOSS_COLUMNS`), and what else is worth knowing."""

    model: Model
    history: list[dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Phase:
    """One of Algorithm 1's two steps, for `run_phase`.

    step: trains on a batch of slice numbers, adds its outputs to the watch, and returns reconstruction,
    coupling, harmonization and total (4,).
    tensors, restore: the state between epochs, and taking it over.
    tolerance: the loss, and the value below which the step has reached its end.
    """

    number: int
    epochs: int
    step: Callable[[np.ndarray, OutputWatch], Tensor]
    tensors: Callable[[], dict[str, Tensor]]
    restore: Callable[[Mapping[str, Tensor]], None]
    tolerance: tuple[str, float]

    @property
    def name(self) -> str:
        """Of its checkpoints."""
        return f"step{self.number}"


class OutputWatch:
    """Sums over an epoch's outputs in the brain, by scanner, that show a dead or collapsed output."""

    def __init__(self, scanners: tuple[str, ...], device: torch.device) -> None:
        self.scanners = scanners
        self.sums = torch.zeros(6, len(scanners), dtype=torch.float64, device=device)

    def add(self, images: Tensor, outputs: Tensor) -> None:
        """Count a batch: images and outputs (B, M, H, W)."""
        outputs = outputs.detach()
        brain = images.ne(0)
        inside = outputs * brain
        terms = (brain, inside.abs() > 1e-6, inside, inside.square(), images, images.square())
        self.sums += torch.stack([term.sum(dim=(0, 2, 3), dtype=torch.float64) for term in terms])

    def check(self, when: str) -> None:
        """Raises `TrainingError` naming scanner, time and number when an output died or lost its contrast."""
        sums = self.sums.cpu().numpy()
        if not np.isfinite(sums).all():
            raise TrainingError(
                f"{when}: the outputs are no longer finite; lower --param learning_rate (the paper's is 0.001)"
            )
        voxels, active, total, squares, total_in, squares_in = sums
        for number, scanner in enumerate(self.scanners):
            n = max(voxels[number], 1)
            share = active[number] / n
            if share < SMALLEST_ACTIVE_SHARE:
                raise TrainingError(
                    f"{when}: the output of scanner '{scanner}' is dead, {100 * share:.2g} % of its brain voxels are "
                    "not 0; use --param decoder=linear, another seed, or a lower --param lambda4 beside lambda3"
                )
            deviation, deviation_in = (
                math.sqrt(max(square / n - (mean / n) ** 2, 0.0))
                for mean, square in ((total[number], squares[number]), (total_in[number], squares_in[number]))
            )
            if deviation < SMALLEST_CONTRAST * deviation_in:
                raise TrainingError(
                    f"{when}: the output of scanner '{scanner}' lost its contrast, its standard deviation in the brain "
                    f"is {deviation:.3g} where the scans' is {deviation_in:.3g}; train longer, raise lambda1 beside "
                    "lambda2 or lambda3 beside lambda4, or use another seed"
                )


def train(
    store: SliceStore,
    parameters: Parameters,
    *,
    seed: int,
    threads: int,
    device: torch.device,
    folder: Path,
    checkpoints: Checkpoints | None = None,
) -> Training:
    """Algorithm 1 on a store of slices; `folder` takes the embeddings between the steps.

    On the CPU the weights depend on slices, parameters and seed alone: neither on `threads` nor on
    whether the training was killed and resumed from `checkpoints`.
    Raises `TrainingError` for a dead, collapsed or diverged output.
    """
    model = new_model(
        store.scanners,
        width=parameters.width,
        embeddings=parameters.embeddings,
        relu=parameters.decoder == "relu",
        seed=seed,
        box=store.box,
        grid=store.grid,
        scale=store.scale,
        device=device,
    )
    batches = Batches(store, device, region=parameters.loss_region)
    precision = choose_precision(parameters.precision, device)
    with working_threads(min(threads, len(store.scanners))) as for_each:
        step1 = learn_embeddings(
            model, batches, parameters, seed=seed, precision=precision, for_each=for_each, checkpoints=checkpoints
        )
        cache = build_cache(model, store, folder, limit_gb=parameters.cache_limit_gb, for_each=for_each)
        if parameters.step2_solver == "exact":
            step2, gap = solve_decoders(model, batches, cache, parameters, seed=seed, for_each=for_each)
        else:
            step2 = fit_decoders(model, batches, cache, parameters, seed=seed, checkpoints=checkpoints)
            gap = None
    facts = {
        "seed": seed,
        "device": device.type,
        "precision": precision,
        "embedding_cache": str(cache.dtype),
        "subjects": list(dict.fromkeys(store.subjects.tolist())),
        "slices": len(store),
        "scans_checksum": store.checksum,
        "step1_epochs": step1.epoch,
        "step1_stopped": step1.stopped,
        "step2_epochs": step2.epoch,
        "step2_stopped": step2.stopped,
        "step2_gap": gap,
    }
    return Training(model, [*step1.history, *step2.history], facts)


def learn_embeddings(
    model: Model,
    batches: Batches,
    parameters: Parameters,
    *,
    seed: int,
    precision: str,
    for_each: ForEach,
    checkpoints: Checkpoints | None = None,
) -> Checkpoint:
    """Step 1 (Algorithm 1, lines 1 to 11): trains encoders and decoders of `model` by Eq. 4, in place."""
    coefficients = model.coefficients.requires_grad_()
    encoders = [Adam(encoder.parameters(), parameters.learning_rate) for encoder in model.encoders]
    decoders = Adam([coefficients], parameters.learning_rate)
    optimizers = {f"optimizer.{number}": optimizer for number, optimizer in enumerate([*encoders, decoders])}

    def step(indices: np.ndarray, watch: OutputWatch) -> Tensor:
        images = batches.images(indices)
        present = batches.present[indices]
        region = batches.region(images)

        def encode(number: int) -> Tensor:
            slices = images[:, number : number + 1].contiguous(memory_format=torch.channels_last)
            # without the cache of casts, which all threads would share
            with torch.autocast(
                batches.device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False
            ):
                return model.encoders[number](slices)

        made = for_each(encode, len(encoders))
        # the graph is cut here, so that each thread goes back through its own encoder
        leaves = [embeddings.detach().requires_grad_() for embeddings in made]
        embeddings = torch.stack(leaves, dim=1)
        outputs = decode(embeddings, coefficients, relu=model.relu)
        reconstruction = reconstruction_loss(images, outputs, present, region)
        coupling = coupling_loss(embeddings, present, region)
        total = step1_loss(reconstruction, coupling, lambda1=parameters.lambda1, lambda2=parameters.lambda2)
        decoders.zero_grad()
        total.backward()
        scanned = batches.store.present[indices].any(axis=0)

        def update(number: int) -> None:
            if scanned[number]:
                encoders[number].zero_grad()
                made[number].backward(leaves[number].grad)
                encoders[number].step()

        for_each(update, len(encoders))
        decoders.step()
        watch.add(images, outputs)
        with torch.no_grad():
            harmonization = harmonization_loss(outputs, present, region)
            return torch.stack([reconstruction, coupling, harmonization, total])

    def tensors() -> dict[str, Tensor]:
        state = model.tensors()
        for name, optimizer in optimizers.items():
            state |= optimizer_tensors(optimizer, name)
        return state

    def restore(state: Mapping[str, Tensor]) -> None:
        model.load_tensors(state)
        for name, optimizer in optimizers.items():
            load_optimizer(optimizer, name, state)

    phase = Phase(
        number=1,
        epochs=parameters.step1_epochs,
        step=step,
        tensors=tensors,
        restore=restore,
        tolerance=("reconstruction", parameters.reconstruction_tolerance * len(encoders)),
    )
    ended = run_phase(phase, batches.store, parameters, seed=seed, device=batches.device, checkpoints=checkpoints)
    coefficients.requires_grad_(False)
    return ended


def fit_decoders(
    model: Model,
    batches: Batches,
    cache: EmbeddingCache,
    parameters: Parameters,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
) -> Checkpoint:
    """Step 2 (Algorithm 1, lines 12 to 22): trains the decoders of `model` by Eq. 6 with Adam, in place.

    The encoders are frozen, so their embeddings are those of the cache.
    """
    coefficients = model.coefficients.requires_grad_()
    optimizer = Adam([coefficients], parameters.learning_rate)

    def step(indices: np.ndarray, watch: OutputWatch) -> Tensor:
        images = batches.images(indices)
        present = batches.present[indices]
        region = batches.region(images)
        outputs = decode(cache.embeddings(indices), coefficients, relu=model.relu)
        reconstruction = reconstruction_loss(images, outputs, present, region)
        harmonization = harmonization_loss(outputs, present, region)
        total = step2_loss(reconstruction, harmonization, lambda3=parameters.lambda3, lambda4=parameters.lambda4)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        watch.add(images, outputs)
        return torch.stack([reconstruction, torch.full_like(total, math.nan), harmonization, total]).detach()

    def restore(state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            coefficients.copy_(state["coefficients"])
        load_optimizer(optimizer, "optimizer", state)

    phase = Phase(
        number=2,
        epochs=parameters.step2_epochs,
        step=step,
        tensors=lambda: {
            "coefficients": coefficients.detach().cpu().contiguous(),
            **optimizer_tensors(optimizer, "optimizer"),
        },
        restore=restore,
        tolerance=("harmonization", parameters.harmonization_tolerance),
    )
    ended = run_phase(phase, batches.store, parameters, seed=seed, device=batches.device, checkpoints=checkpoints)
    coefficients.requires_grad_(False)
    return ended


def solve_decoders(
    model: Model, batches: Batches, cache: EmbeddingCache, parameters: Parameters, *, seed: int, for_each: ForEach
) -> tuple[Checkpoint, float | None]:
    """Step 2 to its certified optimum instead of by Adam: sets the coefficients of `model` by `mispel.exact`.

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
    solution = solve(problem, model.coefficients.cpu().numpy(), seed=seed)
    model.coefficients.copy_(torch.from_numpy(solution.coefficients))
    history = [{"step": 2, "epoch": epoch, **losses} for epoch, losses in enumerate(solution.passes)]
    lowest = min(row["total"] for row in history)
    if solution.gap is None:
        reached = f"loss {lowest:.6g}; with ReLU decoders there is no bound of it"
    else:
        reached = f"loss {lowest:.6g}, at most {solution.gap:.1e} of it above the optimum"
    print(f"MISPEL step 2: {reached} ({len(history)} passes over all slices)", file=sys.stderr)
    watch = OutputWatch(model.scanners, model.device)
    for begin in range(0, len(batches.store), parameters.batch_size):
        indices = np.arange(begin, min(begin + parameters.batch_size, len(batches.store)))
        outputs = decode(cache.embeddings(indices), model.coefficients, relu=model.relu)
        watch.add(batches.images(indices), outputs)
    watch.check("MISPEL step 2")
    return Checkpoint(len(history) - 1, {}, history, None), solution.gap


def run_phase(
    phase: Phase,
    store: SliceStore,
    parameters: Parameters,
    *,
    seed: int,
    device: torch.device,
    checkpoints: Checkpoints | None,
) -> Checkpoint:
    """Run a step's epochs from its last checkpoint on, until they are done or a stopping rule applies."""
    state = None if checkpoints is None else checkpoints.latest(phase.name)
    if state is None:
        state = Checkpoint(epoch=0, tensors={}, history=[], stopped=None)
    else:
        phase.restore(state.tensors)
    drawn = min(parameters.slices_per_epoch or len(store), len(store))
    steps = math.ceil(drawn / parameters.batch_size)
    epochs = range(state.epoch + 1, phase.epochs + 1) if state.stopped is None else range(0)
    what = f"MISPEL step {phase.number}"
    bar = progress(((epoch, step) for epoch in epochs for step in range(steps)), what=what, total=len(epochs) * steps)
    for epoch, step in bar:
        if step == 0:
            order = shuffled_batches(
                len(store),
                size=parameters.batch_size,
                draw=drawn,
                seed=seed,
                step=phase.number,
                epoch=epoch,
            )
            watch = OutputWatch(store.scanners, device)
            losses = torch.zeros(4, dtype=torch.float64, device=device)
        losses += phase.step(order[step], watch).double()
        if step < steps - 1:
            continue
        row = _loss_row(phase.number, epoch, losses / steps)
        if epoch == phase.epochs or epoch * steps >= WARM_UP_STEPS:
            watch.check(f"{what}, epoch {epoch}")
        history = [*state.history, row]
        state = Checkpoint(epoch, phase.tensors(), history, _reason_to_stop(history, phase, parameters))
        if checkpoints is not None:
            checkpoints.save(phase.name, state)
        bar.set_description_str(f"{what}, epoch {epoch} of {phase.epochs}, loss {row['total']:.4f}", refresh=False)
        if state.stopped is not None:
            break
    bar.close()
    return state


def _loss_row(step: int, epoch: int, losses: Tensor) -> dict[str, Any]:
    """One row of the losses' table, None for a loss that the step has not."""
    values = [None if math.isnan(value) else value for value in losses.tolist()]
    return dict(zip(LOSS_COLUMNS, (step, epoch, *values), strict=True))


def _reason_to_stop(history: list[dict[str, Any]], phase: Phase, parameters: Parameters) -> str | None:
    """Why a step ends after the last epoch of `history` ("or until", Algorithm 1), or None."""
    last = history[-1]
    column, tolerance = phase.tolerance
    if last[column] < tolerance:
        return f"{column} {last[column]:.4g} fell below {tolerance:.4g} in epoch {last['epoch']}"
    patience = parameters.plateau_epochs
    totals = [row["total"] for row in history]
    if patience and len(totals) > patience:
        before, since = min(totals[:-patience]), min(totals[-patience:])
        if since > before * (1 - PLATEAU_CHANGE):
            return f"the loss has not fallen by {PLATEAU_CHANGE:.1%} in the {patience} epochs up to {last['epoch']}"
    return None


def example_slice(model: Model, store: SliceStore) -> dict[str, np.ndarray]:
    """What a figure of the embeddings needs (Fig. 2): the middle slice of the first subject with all scans.

    images (M, rows, columns), embeddings (M, L, rows, columns), outputs (M, rows, columns), coefficients
    (M, L), and whose slice it is.  Rows run from the front of the head to its back.
    """
    complete = np.flatnonzero(store.present.all(axis=1))
    candidates = complete if complete.size else np.arange(len(store))
    candidates = candidates[store.subjects[candidates] == store.subjects[candidates[0]]]
    chosen = int(candidates[len(candidates) // 2])
    images = np.stack([array[chosen] for array in store.images])
    slices = torch.from_numpy(images)[:, None, None].to(model.device)
    embeddings = torch.stack([model.encode(number, slices[number])[0] for number in range(len(images))])
    outputs = decode(embeddings[None], model.coefficients, relu=model.relu)[0]
    return {
        "scanners": np.array(store.scanners),
        "subject": np.array(store.subjects[chosen]),
        "slice": np.array(store.positions[chosen]),
        "images": store.grid.upright(images),
        "embeddings": store.grid.upright(embeddings.cpu().numpy()),
        "outputs": store.grid.upright(outputs.cpu().numpy()),
        "coefficients": model.coefficients.cpu().numpy(),
    }
