"""The two steps of Algorithm 1 on a GPU, where a batch waits for nothing: see `mispel.steps` for what they compute.

A batch is a function of memory on the device alone, the numbers of its slices among it, so that the host only
starts it. Encoders' weights are one array, and so are their gradients and Adam's moments. Checkpoints are those of
`mispel.steps`: a training may go on either way.
"""

from __future__ import annotations

import abc
import functools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam

from core.errors import Caution
from mispel.batches import Batches, Seen
from mispel.collapse import OutputWatch
from mispel.compute import ForEach, on_gpu
from mispel.embedding_cache import EmbeddingCache
from mispel.flat_weights import CastOnce, CastWhereUsed, Computed, FlatWeights
from mispel.model import Model
from mispel.network import unet
from mispel.parallel import ALONE, Ranks
from mispel.parameters import Settings
from mispel.recording import RUNS_BEFORE, Outputs, Recorder
from mispel.scores import Scores, scores
from mispel.steps import DecoderFitting, EmbeddingLearning, FirstStep, Step


@dataclass(frozen=True)
class Version:
    """How Step 1 is computed.

    cast_once: weights cast once a batch, not where they are used. padded: the last layer filled up to a multiple of
    8 maps, as tensor cores take them. streams: the encoders side by side. compiled: the encoder by torch.compile.
    own_kernels: encoders and losses by kernels of our own.
    """

    cast_once: bool = False
    padded: bool = False
    streams: bool = False
    compiled: bool = False
    own_kernels: bool = False


VERSIONS: Mapping[int, Version] = {
    1: Version(),
    2: Version(cast_once=True),
    3: Version(cast_once=True, padded=True),
    4: Version(cast_once=True, padded=True, streams=True),
    5: Version(cast_once=True, padded=True, streams=True, compiled=True),
    6: Version(cast_once=True, padded=True, own_kernels=True),
}
"""By their numbers in `benchmarks/gpu.py`, which compares them."""
IN_TRAINING = VERSIONS[6]
"""The fastest; it needs triton, and a C compiler."""
ELSE = VERSIONS[3]
"""The last that needs neither several streams nor a compiler."""
MAPS_STEP = 8


class Order:
    """The slices of an epoch in their order, on the device, which moves on through it by itself."""

    def __init__(self, count: int, size: int, device: torch.device) -> None:
        self.numbers = torch.zeros(count, dtype=torch.int64, device=device)
        self.place = torch.zeros(1, dtype=torch.int64, device=device)
        self.within = torch.arange(size, device=device)

    def begin(self, batches: Sequence[np.ndarray]) -> None:
        """Take over the batches of an epoch."""
        numbers = np.concatenate(batches)
        self.numbers[: len(numbers)].copy_(torch.from_numpy(numbers))
        self.place.zero_()

    def next(self, size: int) -> Tensor:
        """The numbers of the next batch (size,)."""
        numbers = self.numbers.index_select(0, self.place + self.within[:size])
        self.place += size
        return numbers


@dataclass(frozen=True)
class Batch:
    """What decides which operations a batch takes: two that are equal here take the same.

    size: slices of this process. scanned, updated: scanners with a scan in those, and in the whole batch. share:
    of the whole batch's slices. precision: of the step.
    """

    size: int
    scanned: tuple[int, ...]
    updated: tuple[int, ...]
    share: float
    precision: str


class GraphStep(Step):
    """A step whose batches are functions of memory on the device."""

    coefficients: Tensor

    def prepare(self, *, record: bool = True, own_kernels: bool = False) -> None:
        """Allot what a batch reads; to be called once.

        record: whether batches may be recorded. own_kernels: whether losses are computed by a kernel of our own.
        """
        self._scores = scores
        if own_kernels:
            from mispel import loss_kernels  # needs triton

            self._scores = loss_kernels.scores
        self.order = Order(len(self.batches.store), self.parameters.batch_size, self.batches.device)
        self.recorder = Recorder(self.batches.device, record=record)

    def begin_epoch(self, epoch: int, order: Sequence[np.ndarray]) -> None:
        """Take over the epoch's batches, which `train` must then be given one after the other."""
        self.order.begin([self.ranks.share(indices) for indices in order])

    def train(self, indices: np.ndarray, watch: OutputWatch) -> Tensor:
        """Train on the order's next batch: `indices` say how large it is and which scanners have a scan in it."""
        own = self.ranks.share(indices)
        batch = Batch(len(own), self._scanned(own), self._scanned(indices), len(own) / len(indices), self.precision)
        losses, sums = self.recorder(batch, lambda: self.update(batch))
        watch.sums += sums
        return losses

    def _scanned(self, indices: np.ndarray) -> tuple[int, ...]:
        return tuple(np.flatnonzero(self.batches.store.present[indices].any(axis=0)).tolist())

    def scores(self, seen: Seen, embeddings: Tensor, *, of_embeddings: bool) -> Scores:
        """The scores of a batch by the decoders and weights of this step."""
        relu, weights = self.model.relu, self.weights
        return self._scores(
            seen, embeddings, self.coefficients, weights=weights, relu=relu, of_embeddings=of_embeddings
        )

    @abc.abstractmethod
    def update(self, batch: Batch) -> Outputs:
        """One update by the order's next batch: the losses that `train` gives, and `output_sums`."""

    def rehearse(self) -> None:
        """Train on a batch until it is recorded, and undo it: what can't be done here shows before the training."""
        indices = np.arange(min(self.parameters.batch_size, len(self.batches.store)))
        before = {name: tensor.clone() for name, tensor in self.tensors().items()}
        watch = OutputWatch(self.model.scanners, self.batches.device)
        try:
            for _ in range(RUNS_BEFORE + 1):
                self.begin_epoch(0, [indices])
                self.train(indices, watch)
            watch.sums.cpu()  # waits for them
        finally:
            self.restore(before)


Recorded = TypeVar("Recorded", bound=GraphStep)


class GraphLearning(GraphStep, FirstStep):
    """Step 1; all encoders' weights are one array, and so are their gradients and Adam's moments."""

    def __init__(
        self,
        model: Model,
        batches: Batches,
        parameters: Settings,
        *,
        precision: str,
        version: Version = ELSE,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(model, batches, parameters, precision=precision)
        self.ranks = ranks
        # processes wait for each other within a batch, of which no graph is made
        self.prepare(record=ranks.count == 1, own_kernels=version.own_kernels)
        self.version = version
        self.flat = FlatWeights(model.encoders)
        self.rows = [torch.nn.Parameter(row) for row in self.flat.values]
        self.adam = new_adam([*self.rows, self.coefficients], parameters.learning_rate)
        self.no_gradients = list(torch.zeros_like(self.flat.values))
        self.computed: dict[str, Computed] = {}

    def update(self, batch: Batch) -> Outputs:
        """One update of encoders and decoders by Eq. 4."""
        outputs, gradients = self._learned(batch) if batch.size else self._nothing()
        if self.ranks.count > 1:
            outputs, gradients = self._of_all_ranks(batch, outputs, gradients)
        *of_encoders, self.coefficients.grad = gradients
        for number, row in enumerate(self.rows):
            # an encoder without a scan in the batch is not updated
            row.grad = of_encoders[number] if number in batch.updated else None
        self.adam.step()
        return outputs

    def _learned(self, batch: Batch) -> tuple[Outputs, list[Tensor]]:
        """What `update` returns, and the gradients: an encoder's each, zeros without a scan, and the decoders'."""
        indices = self.order.next(batch.size)
        seen = self.batches.seen(indices)
        computed = self._computed()
        computed.refresh()
        embeddings = computed.embed(seen.images, batch.scanned)
        scores = self.scores(seen, embeddings.detach(), of_embeddings=True)
        found = torch.autograd.grad(embeddings, computed.leaves_of(batch.scanned), scores.of_embeddings)
        gradients = [*self.no_gradients, scores.of_coefficients]
        for number, gradient in zip(batch.scanned, computed.gradients(found, batch.scanned), strict=True):
            gradients[number] = gradient
        return (scores.losses, scores.sums), gradients

    def _nothing(self) -> tuple[Outputs, list[Tensor]]:
        """The same of a rank without a slice in the batch."""
        losses = torch.zeros(4, device=self.coefficients.device)
        sums = torch.zeros_like(OutputWatch(self.model.scanners, losses.device).sums)
        return (losses, sums), [*self.no_gradients, torch.zeros_like(self.coefficients)]

    def _of_all_ranks(self, batch: Batch, outputs: Outputs, gradients: list[Tensor]) -> tuple[Outputs, list[Tensor]]:
        """Gradients of the whole batch, by one exchange, and this rank's part of its losses.

        Losses are means over slices, so that a rank weighs as much as it has slices.
        """
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients]) * batch.share
        self.ranks.add_up(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        losses, sums = outputs
        return (losses * batch.share, sums), [
            part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)
        ]

    def _computed(self) -> Computed:
        """By precision, since an epoch may be done again in another."""
        if self.precision not in self.computed:
            self.computed[self.precision] = self._new_computed(getattr(torch, self.precision))
        return self.computed[self.precision]

    def _new_computed(self, precision: torch.dtype) -> Computed:
        version, embeddings = self.version, self.parameters.embeddings
        # float32 takes more of a GPU's shared memory than it has
        if version.own_kernels and precision == torch.bfloat16:
            from mispel.all_encoders import AllAtOnce  # needs triton

            return AllAtOnce(self.flat, precision)
        side_by_side = version.streams and on_gpu(self.batches.device)
        streams = [torch.cuda.Stream() for _ in self.rows] if side_by_side else []
        if not version.cast_once:
            encoders = self.model.encoders
            return CastWhereUsed(self.flat, precision, encoders=encoders, embeddings=embeddings, streams=streams)
        step = MAPS_STEP if version.padded else 1
        maps = math.ceil(embeddings / step) * step
        network = torch.compile(unet) if version.compiled else unet
        return CastOnce(self.flat, precision, maps=maps, embeddings=embeddings, streams=streams, network=network)

    def tensors(self) -> dict[str, Tensor]:
        """Encoders, decoders and the state of Adam."""
        return self.model.tensors() | {name: value.detach().cpu().contiguous() for name, value in self._moments()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave, in place: a graph knows its memory by the address."""
        self.model.load_tensors(state)
        copy_in_place(self._moments(), state)

    def _moments(self) -> Iterator[tuple[str, Tensor]]:
        """Adam's state under the names of `mispel.steps`, an optimizer an encoder and one for the decoders; views."""
        for number, row in enumerate(self.rows):
            for name, value in self.adam.state[row].items():
                views = self.flat.views(value) if value.dim() else [value] * len(self.flat.shapes)
                yield from ((f"optimizer.{number}.{place}.{name}", view) for place, view in enumerate(views))
        for name, value in self.adam.state[self.coefficients].items():
            yield f"optimizer.{len(self.rows)}.0.{name}", value


class GraphFitting(GraphStep, DecoderFitting):
    """Step 2 by Adam, from embeddings that are kept on the device."""

    def __init__(
        self, model: Model, batches: Batches, parameters: Settings, *, cache: EmbeddingCache, own_kernels: bool = False
    ) -> None:
        super().__init__(model, batches, parameters, cache=cache)
        self.prepare(own_kernels=own_kernels)
        self.optimizer = new_adam([self.coefficients], parameters.learning_rate)

    def update(self, batch: Batch) -> Outputs:
        """One update of the decoders by Eq. 6."""
        indices = self.order.next(batch.size)
        scores = self.scores(self.batches.seen(indices), self.cache.embeddings(indices), of_embeddings=False)
        self.coefficients.grad = scores.of_coefficients
        self.optimizer.step()
        return scores.losses, scores.sums

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave, in place."""
        moments = self.optimizer.state[self.coefficients].items()
        copy_in_place([("coefficients", self.coefficients.detach())], state)
        copy_in_place(((f"optimizer.0.{name}", value) for name, value in moments), state)


def new_adam(parameters: Sequence[Tensor], learning_rate: float) -> Adam:
    """Adam in one kernel, its state allotted already and 0."""
    # it is recorded, after the first runs
    warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
    adam = Adam(parameters, learning_rate, fused=True, capturable=parameters[0].is_cuda)
    for parameter in parameters:
        adam.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
        }
    return adam


def copy_in_place(named: Iterable[tuple[str, Tensor]], state: Mapping[str, Tensor]) -> None:
    """Into each tensor what `state` has under its name, 0 where it has nothing: an optimizer that made no step yet."""
    for name, value in named:
        if name in state:
            value.copy_(state[name])
        else:
            value.zero_()


def in_training(device: torch.device) -> Version:
    """The version that training on a device tries first; kernels of our own are a GPU's."""
    return IN_TRAINING if on_gpu(device) else ELSE


def first_step(
    model: Model, batches: Batches, parameters: Settings, *, precision: str, for_each: ForEach, ranks: Ranks = ALONE
) -> FirstStep:
    """Step 1 by graphs on a GPU, operation by operation on a CPU and where a GPU can't do the other.

    Of several ranks each takes the first way, not recorded, since it has the gradients in one array.
    """
    if ranks.count > 1:
        return GraphLearning(model, batches, parameters, precision=precision, ranks=ranks)
    make = functools.partial(GraphLearning, model, batches, parameters, precision=precision)
    ways = (functools.partial(make, version=version) for version in (in_training(batches.device), ELSE))
    return _rehearsed(batches, ways) or EmbeddingLearning(
        model, batches, parameters, precision=precision, for_each=for_each
    )


def second_step(model: Model, batches: Batches, parameters: Settings, *, cache: EmbeddingCache) -> DecoderFitting:
    """Step 2 by Adam; the way it is done is chosen as that of `first_step`."""
    make = functools.partial(GraphFitting, model, batches, parameters, cache=cache)
    ways = (functools.partial(make, own_kernels=own_kernels) for own_kernels in (True, False))
    return _rehearsed(batches, ways) or DecoderFitting(model, batches, parameters, cache=cache)


def _rehearsed(batches: Batches, ways: Iterable[Callable[[], Recorded]]) -> Recorded | None:
    """The step that the first of some ways gives, rehearsed; None on a CPU, and where a GPU can't do any.

    A way that fails is warned of.
    """
    if not on_gpu(batches.device):
        return None
    for make in ways:
        try:
            step = make()
            step.rehearse()
        except Exception as error:  # whatever it is, a slower way remains
            warnings.warn(
                f"MISPEL's faster way of training on a GPU fails here ({str(error).splitlines()[0]}); the slower one "
                "is taken",
                Caution,
                stacklevel=3,
            )
        else:
            return step
    return None
