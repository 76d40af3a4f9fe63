"""The many-to-one CycleGAN's networks and their training: what needs torch (see `baselines.cyclegan`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from baselines._deepharmony import Network
from baselines._slices import brain_mean, slices_with_brain
from mispel.batches import Batches
from mispel.checkpoints import load_training, training_tensors
from mispel.collapse import OutputWatch
from mispel.compute import ForEach
from mispel.passes import Learning

POOL = 50
"""Earlier fakes that a discriminator is shown again."""
KERNEL = 4
"""Edge of a discriminator's convolutions; so many layers of stride 2 see 16, 34, 70 voxels."""
LAYERS = {16: 1, 34: 2, 70: 3}
TURN = 5.0
"""Degrees, at most, by which a slice is turned in training."""
SHIFT = 0.03
"""Of a slice's half width, at most, by which it is shifted."""


class Generator(nn.Module):
    """Slices (B, 1, H, W) to slices: the input and, in its mask, a tanh of what DeepHarmony's network gives.

    It begins as the identity, so that a short training takes nothing away.
    """

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.network = Network(width, seed)
        nn.init.zeros_(self.network.last.weight)

    def forward(self, slices: Tensor, mask: Tensor) -> Tensor:
        return (slices + torch.tanh(self.network(slices))) * mask


class Discriminator(nn.Module):
    """Slices (B, 1, H, W) to a map of how real each patch of `field` voxels looks (PatchGAN; Isola et al. 2017)."""

    def __init__(self, width: int, field: int, seed: int) -> None:
        super().__init__()
        channels = [1, *(width * 2**level for level in range(1 + LAYERS[field]))]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(itertools.pairwise(channels)):
            stride = 2 if level < LAYERS[field] else 1
            layers.append(nn.Conv2d(before, after, KERNEL, stride, padding=1))
            if level > 0:
                layers.append(nn.InstanceNorm2d(after))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(channels[-1], 1, KERNEL, padding=1))
        self.layers = nn.Sequential(*layers)
        generator = torch.Generator().manual_seed(seed)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02, generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, slices: Tensor) -> Tensor:
        return self.layers(slices)


class Pool:
    """The latest fakes: each is handed out at once, or an earlier one that it takes the place of."""

    def __init__(self, shape: tuple[int, int], device: torch.device) -> None:
        self.slices = torch.zeros(POOL, 1, *shape, device=device)
        self.count = 0

    def exchanged(self, fakes: Tensor, generator: np.random.Generator) -> Tensor:
        """As many slices as `fakes` (B, 1, H, W), of which each is one of them or an earlier one."""
        given = []
        for fake in fakes:
            place, earlier = int(generator.integers(POOL)), bool(generator.random() < 0.5)
            if self.count < POOL:
                place, earlier = self.count, False
                self.count += 1
            elif not earlier:
                given.append(fake)
                continue
            given.append(self.slices[place].clone() if earlier else fake)
            self.slices[place] = fake
        return torch.stack(given)


class CycleLearning(Learning):
    """A universal generator to the target scanner against one backward generator and discriminator a source scanner.

    Zhu et al. 2017, least squares; a pass shows every slice of the sources once, each batch those of one source beside
    as many of the target's, which are anyone's.
    """

    title = "CycleGAN"
    number = 1
    losses = ("adversarial", "cycle", "identity", "discriminator", "total")
    advice = "use a lower --param learning_rate, or another seed"
    batch_size = 1

    def __init__(
        self, batches: Batches, medians: np.ndarray, target: int, settings: Any, *, seed: int, for_each: ForEach
    ) -> None:
        self.medians = medians
        self.store, self.target, self.settings, self.seed = batches.store, target, settings, seed
        self.batches, self.for_each, self.device = batches, for_each, batches.device
        store = self.store
        self.epochs = settings.epochs
        self.sources = [number for number in range(len(store.scanners)) if number != target]
        self.slices = [slices_with_brain(store, number) for number in range(len(store.scanners))]
        self.items = sum(math.ceil(len(self.slices[source]) / settings.batch) for source in self.sources)
        made = iter(np.random.SeedSequence([seed, 7]).generate_state(2 + 2 * len(self.sources)).tolist())
        self.forward = Generator(settings.width, next(made)).to(self.device)
        self.judge = Discriminator(2 * settings.width, settings.field, next(made)).to(self.device)
        self.backward = [Generator(settings.width, next(made)).to(self.device) for _ in self.sources]
        self.judges = [
            Discriminator(2 * settings.width, settings.field, next(made)).to(self.device) for _ in self.sources
        ]
        self.pools = [Pool(store.box.shape, self.device) for _ in range(1 + len(self.sources))]
        self.networks: list[nn.Module] = [self.forward, self.judge, *self.backward, *self.judges]
        rate = settings.learning_rate
        self.optimizers = [Adam(network.parameters(), rate, (0.5, 0.999)) for network in self.networks]

    @property
    def described(self) -> str:
        """Slices and scanners."""
        shown = sum(len(self.slices[source]) for source in self.sources)
        return f"{shown} slices of {len(self.sources)} scanners, to {self.store.scanners[self.target]}"

    def new_watch(self) -> OutputWatch:
        """Of the harmonized slices of all sources."""
        return OutputWatch(("all sources",), self.device)

    def begin_epoch(self, epoch: int, order: Sequence[np.ndarray]) -> None:
        """Draw the pass's batches and set the rate, which falls to 0 over the second half."""
        self.random = np.random.default_rng([self.seed, self.number, epoch])
        size = self.settings.batch
        self.drawn = []
        for place, source in enumerate(self.sources):
            mixed = self.random.permutation(self.slices[source])
            self.drawn += [(place, mixed[begin : begin + size]) for begin in range(0, len(mixed), size)]
        kept = self.epochs - self.epochs // 2
        rate = min(1.0, (self.epochs + 1 - epoch) / (self.epochs + 1 - kept))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * rate

    def train(self, indices: np.ndarray, watch: OutputWatch) -> Tensor:
        """One update of the generators, then one of the discriminators, by a source's slices."""
        place, chosen = self.drawn[int(indices[0])]
        source = self.sources[place]
        reals = self.random.choice(self.slices[self.target], len(chosen))
        more = [self.random.choice(self.slices[number], len(chosen)) for number in (self.target, source)]
        scan, inside = self._shown(source, chosen)
        real, within = self._shown(self.target, reals)
        forward, backward = self.forward, self.backward[place]
        weights = self.settings.cycle, self.settings.identity

        def half(first: Generator, second: Generator, judge: Discriminator, own: Tensor, mask: Tensor) -> list[Tensor]:
            """One direction's fake, losses, and their gradients by both generators."""
            fake = first(own, mask)
            adversarial = (judge(fake) - 1).square().mean()
            cycle = brain_mean((second(fake, mask) - own).abs(), mask)
            identity = brain_mean((second(own, mask) - own).abs(), mask)
            total = adversarial + weights[0] * cycle + weights[1] * identity
            gradients = torch.autograd.grad(total, [*first.parameters(), *second.parameters()])
            return [fake.detach(), torch.stack([adversarial, cycle, identity, total]).detach(), *gradients]

        directions = [
            (forward, backward, self.judge, scan, inside),
            (backward, forward, self.judges[place], real, within),
        ]
        there, back = self.for_each(lambda number: half(*directions[number]), 2)
        count = len(list(forward.parameters()))
        by_forward = [a + b for a, b in zip(there[2 : 2 + count], back[2 + count :], strict=True)]
        by_backward = [a + b for a, b in zip(there[2 + count :], back[2 : 2 + count], strict=True)]
        self._update(0, by_forward)
        self._update(2 + place, by_backward)

        judged = []
        for judge, pool, fake, own, further in (
            (1, 0, there[0], real, self._shown(self.target, more[0])[0]),
            (2 + len(self.sources) + place, 1 + place, back[0], scan, self._shown(source, more[1])[0]),
        ):
            # two batches a step: the latest fakes, and those of the pool
            fakes = torch.cat([fake, self.pools[pool].exchanged(fake, self.random)])
            judged.append((judge, fakes, torch.cat([own, further])))

        def judging(number: int) -> list[Tensor]:
            judge, fakes, own = judged[number]
            network = self.networks[judge]
            loss = (network(own) - 1).square().mean() / 2 + network(fakes).square().mean() / 2
            return [loss.detach(), *torch.autograd.grad(loss, list(network.parameters()))]

        found = self.for_each(judging, 2)
        for (judge, _, _), (_, *gradients) in zip(judged, found, strict=True):
            self._update(judge, gradients)
        watch.add(scan, there[0], inside)
        sums = there[1] + back[1]
        return torch.stack([*sums[:3], found[0][0] + found[1][0], sums[3]])

    def _update(self, network: int, gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(self.networks[network].parameters(), gradients, strict=True):
            parameter.grad = gradient
        self.optimizers[network].step()

    def _shown(self, scanner: int, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Slices (B, 1, H, W) of a scanner in units of their scans' medians, and their masks, turned and shifted."""
        images = self.batches.images(chosen)[:, scanner : scanner + 1]
        mask = self.batches.depths(chosen)[:, scanner : scanner + 1].gt(0).float()
        medians = torch.as_tensor(self.medians[chosen, scanner], dtype=torch.float32, device=self.device)
        turns = np.radians(self.random.uniform(-TURN, TURN, len(chosen)))
        shifts = self.random.uniform(-SHIFT, SHIFT, (len(chosen), 2))
        return moved(images * mask / medians[:, None, None, None], mask, turns, shifts)

    def tensors(self) -> dict[str, Tensor]:
        """All networks, the state of every Adam, and the pools."""
        state = training_tensors(self.networks, self.optimizers)
        for number, pool in enumerate(self.pools):
            state[f"pool{number}"] = pool.slices.cpu()
            state[f"pool{number}.count"] = torch.tensor(pool.count)
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        load_training(self.networks, self.optimizers, state)
        for number, pool in enumerate(self.pools):
            pool.slices.copy_(state[f"pool{number}"])
            pool.count = int(state[f"pool{number}.count"])


def moved(slices: Tensor, mask: Tensor, turns: np.ndarray, shifts: np.ndarray) -> tuple[Tensor, Tensor]:
    """Slices (B, 1, H, W) and their masks turned by angles (B,) and shifted by shares of half their width (B, 2)."""
    height, width = slices.shape[-2:]
    cosine, sine = np.cos(turns), np.sin(turns)
    # in units of the half height and half width, in which a turn is no turn but for squares
    matrix = np.stack(
        [
            np.stack([cosine, -sine * height / width, shifts[:, 0]], axis=1),
            np.stack([sine * width / height, cosine, shifts[:, 1]], axis=1),
        ],
        axis=1,
    )
    field = functional.affine_grid(
        torch.as_tensor(matrix, dtype=torch.float32, device=slices.device), list(slices.shape), align_corners=False
    )
    near = functional.grid_sample(mask, field, mode="nearest", align_corners=False)
    return functional.grid_sample(slices, field, mode="bilinear", align_corners=False) * near, near
