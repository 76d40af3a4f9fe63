"""Style transfer's networks and their training: what needs torch (see `baselines.stylegan`)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from baselines._slices import brain_mean, slices_with_brain
from mispel.batches import Batches
from mispel.checkpoints import load_training, training_tensors
from mispel.collapse import OutputWatch
from mispel.compute import ForEach
from mispel.passes import Learning

LATENT = 16
STYLE = 64
SLOPE = 0.2
WEIGHT_DECAY = 1e-4
MAPPING_SHARE = 0.01
"""Of the learning rate, that the mapping network learns by."""


class Residual(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one; normed by instance, by style or not at all; halved, doubled or as is."""

    def __init__(self, before: int, after: int, *, norm: bool = False, style: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.style = scale, style
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.beside = nn.Conv2d(before, after, 1, bias=False)
        self.norms = nn.ModuleList(
            nn.InstanceNorm2d(channels, affine=norm) if norm or style else nn.Identity() for channels in (before, after)
        )
        if style:
            self.gains = nn.ModuleList(nn.Linear(STYLE, 2 * channels) for channels in (before, after))

    def forward(self, values: Tensor, style: Tensor | None = None) -> Tensor:
        inner = self._normed(0, values, style)
        inner = self.first(self._scaled(inner))
        inner = self.second(self._normed(1, inner, style))
        return (inner + self.beside(self._scaled(values))) / math.sqrt(2)

    def _normed(self, number: int, values: Tensor, style: Tensor | None) -> Tensor:
        normed: Tensor = self.norms[number](values)
        if self.style:
            gain, offset = self.gains[number](style)[:, :, None, None].chunk(2, dim=1)
            normed = (1 + gain) * normed + offset
        return functional.leaky_relu(normed, SLOPE)

    def _scaled(self, values: Tensor) -> Tensor:
        if self.scale < 1:
            return functional.avg_pool2d(values, 2)
        return functional.interpolate(values, scale_factor=2.0, mode="nearest") if self.scale > 1 else values


class Generator(nn.Module):
    """Slices (B, 1, H, W) in a style (B, 64), 0 outside their masks; H and W divisible by 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.encode = nn.ModuleList(
            [
                Residual(width, 2 * width, norm=True, scale=0.5),
                Residual(2 * width, 4 * width, norm=True, scale=0.5),
                Residual(4 * width, 4 * width, norm=True),
            ]
        )
        self.decode = nn.ModuleList(
            [
                Residual(4 * width, 4 * width, style=True),
                Residual(4 * width, 2 * width, style=True, scale=2.0),
                Residual(2 * width, width, style=True, scale=2.0),
            ]
        )
        self.norm, self.last = nn.InstanceNorm2d(width, affine=True), nn.Conv2d(width, 1, 1)

    def forward(self, slices: Tensor, style: Tensor, mask: Tensor) -> Tensor:
        values = self.first(slices)
        for block in self.encode:
            values = block(values)
        for block in self.decode:
            values = block(values, style)
        made: Tensor = self.last(functional.leaky_relu(self.norm(values), SLOPE))
        return made * mask


class Judge(nn.Module):
    """Slices (B, 1, H, W) to so many numbers (B, count): a style, or how real they look."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            Residual(width, 2 * width, scale=0.5),
            Residual(2 * width, 4 * width, scale=0.5),
            Residual(4 * width, 4 * width, scale=0.5),
        )
        self.last = nn.Linear(4 * width, count)

    def forward(self, slices: Tensor) -> Tensor:
        values = functional.leaky_relu(self.blocks(slices), SLOPE).mean(dim=(2, 3))
        numbers: Tensor = self.last(values)
        return numbers


def new_mapping(hidden: int) -> nn.Sequential:
    """A network from latent codes (B, 16) to styles (B, 64)."""
    layers: list[nn.Module] = []
    for before, after in ((LATENT, hidden), (hidden, hidden), (hidden, hidden)):
        layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Linear(hidden, STYLE))


def initialize(network: nn.Module, seed: int) -> None:
    """He's weights (2015), drawn from `seed` alone, and zero biases."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=SLOPE, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Stylist(nn.Module):
    """A generator with one style for every slice: slices and masks (B, 1, H, W) to slices."""

    style: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.generator = Generator(width)
        self.register_buffer("style", torch.zeros(1, STYLE))

    def forward(self, slices: Tensor, mask: Tensor) -> Tensor:
        made: Tensor = self.generator(slices, self.style.expand(len(slices), -1), mask)
        return made


class StyleLearning(Learning):
    """StarGAN v2 with one domain (Choi et al. 2020; Liu et al. 2021): which scanner a slice is from isn't looked at.

    A pass shows every slice of all scanners once. Latent codes and other slices as references give styles, each half
    of a batch's losses.
    """

    title = "Style transfer"
    number = 1
    losses = ("adversarial", "style", "diversity", "cycle", "discriminator", "total")
    advice = "use a lower --param learning_rate, or another seed"

    def __init__(
        self, batches: Batches, medians: np.ndarray, target: int, settings: Any, *, seed: int, for_each: ForEach
    ) -> None:
        self.medians = medians
        self.batches, self.target, self.settings, self.seed = batches, target, settings, seed
        self.for_each, self.device = for_each, batches.device
        store = batches.store
        self.scanners = range(len(store.scanners))
        own = [slices_with_brain(store, scanner) for scanner in self.scanners]
        self.places = [(scanner, int(number)) for scanner in self.scanners for number in own[scanner]]
        self.items, self.batch_size, self.epochs = len(self.places), settings.batch, settings.epochs
        networks: list[nn.Module] = [
            Generator(settings.width),
            new_mapping(settings.hidden),
            Judge(settings.width, STYLE),
            Judge(settings.width, 1),
        ]
        for network, drawn in zip(networks, np.random.SeedSequence([seed, 11]).generate_state(4), strict=True):
            initialize(network, int(drawn))
        self.networks = [network.to(self.device) for network in networks]
        self.generator, self.mapping, self.encoder, self.discriminator = self.networks
        rates = [settings.learning_rate * share for share in (1, MAPPING_SHARE, 1, 1)]
        self.optimizers = [
            Adam(network.parameters(), rate, betas=(0.0, 0.99), weight_decay=WEIGHT_DECAY)
            for network, rate in zip(self.networks, rates, strict=True)
        ]
        # what is used in the end is their running mean
        self.means = [copy.deepcopy(network) for network in (self.generator, self.encoder)]

    @property
    def described(self) -> str:
        """Slices."""
        return f"{self.items} slices of {len(self.scanners)} scanners"

    def new_watch(self) -> OutputWatch:
        """Of the slices in others' styles."""
        return OutputWatch(("all scanners",), self.device)

    def begin_epoch(self, epoch: int, order: Sequence[np.ndarray]) -> None:
        """Begin the pass's own random numbers; diversity counts for less and less."""
        self.random = np.random.default_rng([self.seed, self.number, epoch])
        self.diversity = 1 - (epoch - 1) / self.epochs

    def train(self, indices: np.ndarray, watch: OutputWatch) -> Tensor:
        """One update of the discriminator, then one of generator, mapping and style encoder."""
        slices, mask = self._shown(indices)
        references = [self._shown(self.random.integers(self.items, size=len(indices)))[0] for _ in range(2)]
        latent = [self._latent(len(indices)) for _ in range(2)]

        def fake(number: int) -> Tensor:
            with torch.no_grad():
                style = self.mapping(latent[0]) if number == 0 else self.encoder(references[0])
                made: Tensor = self.generator(slices, style, mask)
                return made

        fakes = torch.cat(self.for_each(fake, 2))
        judged = self._judge(slices, fakes)

        def half(number: int) -> list[Tensor]:
            """Losses of one way to styles, and their gradients by generator, mapping and encoder."""
            first, second = (
                (self.mapping(code) for code in latent) if number == 0 else (self.encoder(seen) for seen in references)
            )
            made = self.generator(slices, first, mask)
            with torch.no_grad():
                other = self.generator(slices, second, mask)
            adversarial = functional.softplus(-self.discriminator(made)).mean()
            style = (self.encoder(made) - first).abs().mean()
            diversity = brain_mean((made - other).abs(), mask)
            cycle = brain_mean((self.generator(made, self.encoder(slices), mask) - slices).abs(), mask)
            total = adversarial + style - self.diversity * diversity + self.settings.cycle * cycle
            parameters = [parameter for network in self.networks[:3] for parameter in network.parameters()]
            gradients = torch.autograd.grad(total / 2, parameters, allow_unused=True)
            filled = [
                torch.zeros_like(parameter) if gradient is None else gradient
                for parameter, gradient in zip(parameters, gradients, strict=True)
            ]
            losses = torch.stack([adversarial, style, diversity, cycle, total]).detach() / 2
            return [made.detach(), losses, *filled]

        by_latent, by_reference = self.for_each(half, 2)
        gradients = [a + b for a, b in zip(by_latent[2:], by_reference[2:], strict=True)]
        for network, optimizer in zip(self.networks[:3], self.optimizers[:3], strict=True):
            for parameter in network.parameters():
                parameter.grad = gradients.pop(0)
            optimizer.step()
        for mean, network in zip(self.means, (self.generator, self.encoder), strict=True):
            for kept, new in zip(mean.parameters(), network.parameters(), strict=True):
                kept.data.lerp_(new.data, 1 - self.settings.average)
        watch.add(slices, by_reference[0], mask)
        adversarial, style, diversity, cycle, total = by_latent[1] + by_reference[1]
        return torch.stack([adversarial, style, diversity, cycle, judged, total])

    def _judge(self, slices: Tensor, fakes: Tensor) -> Tensor:
        """One update of the discriminator, with the penalty on its gradient at real slices (R1); its loss."""
        real = slices.detach().requires_grad_()
        answers = self.discriminator(real)
        (steep,) = torch.autograd.grad(answers.sum(), real, create_graph=True)
        penalty = steep.square().sum(dim=(1, 2, 3)).mean() / 2
        wrong = functional.softplus(-answers).mean() + functional.softplus(self.discriminator(fakes)).mean()
        self.optimizers[3].zero_grad()
        (wrong + penalty).backward()
        self.optimizers[3].step()
        return wrong.detach()

    def _latent(self, count: int) -> Tensor:
        return torch.as_tensor(self.random.standard_normal((count, LATENT)), dtype=torch.float32, device=self.device)

    def _shown(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Slices (B, 1, H, W) in units of their scans' medians, and their masks."""
        scanners, numbers = np.array([self.places[index] for index in indices]).T
        rows = torch.arange(len(indices), device=self.device)
        columns = torch.as_tensor(scanners, device=self.device)
        images = self.batches.images(numbers)[rows, columns][:, None]
        mask = self.batches.depths(numbers)[rows, columns][:, None].gt(0).float()
        medians = torch.as_tensor(self.medians[numbers, scanners], dtype=torch.float32, device=self.device)
        return images * mask / medians[:, None, None, None], mask

    def stylist(self) -> Stylist:
        """The mean generator with the mean style of the target's slices."""
        found = Stylist(self.settings.width).to(self.device)
        found.generator.load_state_dict(self.means[0].state_dict())
        own = np.flatnonzero([scanner == self.target for scanner, _ in self.places])
        with torch.no_grad():
            styles = [
                self.means[1](self._shown(own[begin : begin + self.batch_size])[0])
                for begin in range(0, len(own), self.batch_size)
            ]
        found.style.copy_(torch.cat(styles).mean(dim=0, keepdim=True))
        return found

    def tensors(self) -> dict[str, Tensor]:
        """All networks, their running means, and the state of every Adam."""
        return training_tensors([*self.networks, *self.means], self.optimizers)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        load_training([*self.networks, *self.means], self.optimizers, state)
