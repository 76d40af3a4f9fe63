"""The two steps of Algorithm 1, batch by batch: what is computed, updated, and kept between epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam

from mispel.batches import Batches
from mispel.checkpoints import load_optimizer, optimizer_tensors
from mispel.collapse import OutputWatch
from mispel.compute import ForEach
from mispel.embedding_cache import EmbeddingCache
from mispel.losses import LossWeights, step_losses
from mispel.model import Model
from mispel.network import decode
from mispel.parameters import Settings
from mispel.passes import Learning, plateau

LOSSES = ("reconstruction", "coupling", "harmonization", "total")


class Step(Learning):
    """One of the two steps.

    number: 1 or 2. weights: of its losses. tolerance: the loss, and the value below which the step ends.
    `train` gives reconstruction, coupling (NaN where the step has none), harmonization and total.
    """

    losses = LOSSES
    lacking = frozenset({"coupling"})
    weights: LossWeights
    tolerance: tuple[str, float]
    advice = "use --param learning_rate=0.0001 (the paper has 0.001, its code's README 0.0001) or another seed"

    def __init__(self, model: Model, batches: Batches, parameters: Settings) -> None:
        self.model, self.batches, self.parameters = model, batches, parameters
        self.title = f"MISPEL step {self.number}"
        self.device = batches.device
        self.items, self.batch_size = len(batches.store), parameters.batch_size

    @property
    def described(self) -> str:
        """Slices and scanners."""
        return f"{self.items} slices of {len(self.batches.store.scanners)} scanners"

    def new_watch(self) -> OutputWatch:
        """Of every scanner's outputs."""
        return OutputWatch(self.batches.store.scanners, self.device)

    def reason_to_stop(self, history: Sequence[Mapping[str, Any]]) -> str | None:
        """A loss below its tolerance, or one that doesn't fall ("or until", Algorithm 1)."""
        last = history[-1]
        column, tolerance = self.tolerance
        if last[column] < tolerance:
            return f"{column} {last[column]:.4g} fell below {tolerance:.4g} in epoch {last['epoch']}"
        return plateau(history, self.parameters.plateau_epochs)

    def end(self) -> None:
        """The decoders are fixed."""
        self.model.coefficients.requires_grad_(False)


class FirstStep(Step):
    """Step 1 (Algorithm 1, lines 1 to 11): encoders and decoders by Eq. 4."""

    number = 1

    def __init__(self, model: Model, batches: Batches, parameters: Settings, *, precision: str) -> None:
        super().__init__(model, batches, parameters)
        self.precision = precision
        self.epochs = parameters.step1_epochs
        self.tolerance = ("reconstruction", parameters.reconstruction_tolerance * len(model.encoders))
        self.weights = LossWeights.first_step(parameters.lambda1, parameters.lambda2)
        self.coefficients = model.coefficients.requires_grad_()


class EmbeddingLearning(FirstStep):
    """Step 1 operation by operation, on any device, the scanners side by side on several threads."""

    def __init__(
        self, model: Model, batches: Batches, parameters: Settings, *, precision: str, for_each: ForEach
    ) -> None:
        super().__init__(model, batches, parameters, precision=precision)
        self.for_each = for_each
        self.encoders = [Adam(encoder.parameters(), parameters.learning_rate) for encoder in model.encoders]
        self.decoders = Adam([self.coefficients], parameters.learning_rate)
        self.optimizers = {f"optimizer.{i}": used for i, used in enumerate([*self.encoders, self.decoders])}

    def train(self, indices: np.ndarray, watch: OutputWatch) -> Tensor:
        """One update of encoders and decoders by Eq. 4."""
        encoders, seen = self.encoders, self.batches.seen(indices)
        made = self.for_each(lambda number: self._encode(number, seen.images), len(encoders))
        # the graph is cut here, so that each thread goes back through its own encoder
        leaves = [embeddings.detach().requires_grad_() for embeddings in made]
        embeddings = torch.stack(leaves, dim=1)
        outputs = decode(embeddings, self.coefficients, relu=self.model.relu)
        losses = step_losses(self.weights, seen, embeddings, outputs)
        self.decoders.zero_grad()
        losses[-1].backward()
        scanned = self.batches.store.present[indices].any(axis=0)

        def update(number: int) -> None:
            if scanned[number]:
                encoders[number].zero_grad()
                made[number].backward(leaves[number].grad)
                encoders[number].step()

        self.for_each(update, len(encoders))
        self.decoders.step()
        watch.add(seen.images, outputs.detach(), seen.depths)
        return torch.stack(losses).detach()

    def _encode(self, number: int, images: Tensor) -> Tensor:
        slices = images[:, number : number + 1].contiguous(memory_format=torch.channels_last)
        half = self.precision == "bfloat16"
        # without the cache of casts, which all threads would share
        with torch.autocast(self.batches.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            return self.model.encoders[number](slices)

    def tensors(self) -> dict[str, Tensor]:
        """Encoders, decoders and the state of every Adam."""
        state = self.model.tensors()
        for name, optimizer in self.optimizers.items():
            state |= optimizer_tensors(optimizer, name)
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        self.model.load_tensors(state)
        for name, optimizer in self.optimizers.items():
            load_optimizer(optimizer, name, state)


class DecoderFitting(Step):
    """Step 2 (Algorithm 1, lines 12 to 22): the decoders alone, by Eq. 6 with Adam.

    The encoders are frozen, so their embeddings are those of the cache.
    """

    number = 2

    def __init__(self, model: Model, batches: Batches, parameters: Settings, *, cache: EmbeddingCache) -> None:
        super().__init__(model, batches, parameters)
        self.cache = cache
        self.epochs = parameters.step2_epochs
        self.tolerance = ("harmonization", parameters.harmonization_tolerance)
        self.weights = LossWeights.second_step(parameters.lambda3, parameters.lambda4)
        self.coefficients = model.coefficients.requires_grad_()
        self.optimizer = Adam([self.coefficients], parameters.learning_rate)

    def train(self, indices: np.ndarray, watch: OutputWatch) -> Tensor:
        """One update of the decoders by Eq. 6, from cached embeddings."""
        seen = self.batches.seen(indices)
        embeddings = self.cache.embeddings(indices)
        outputs = decode(embeddings, self.coefficients, relu=self.model.relu)
        losses = step_losses(self.weights, seen, embeddings, outputs)
        self.optimizer.zero_grad()
        losses[-1].backward()
        self.optimizer.step()
        watch.add(seen.images, outputs.detach(), seen.depths)
        return torch.stack(losses).detach()

    def tensors(self) -> dict[str, Tensor]:
        """Decoders and their Adam's state; the encoders stay as they are."""
        coefficients = self.coefficients.detach().cpu().contiguous()
        return {"coefficients": coefficients, **optimizer_tensors(self.optimizer, "optimizer")}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        with torch.no_grad():
            self.coefficients.copy_(state["coefficients"])
        load_optimizer(self.optimizer, "optimizer", state)
