"""CALAMITI's networks and their training: what needs torch (see `baselines.calamiti`)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam

from baselines._deepharmony import INFERENCE_BATCH
from baselines._slices import brain_mean
from baselines._unpaired import without_names
from core.study import Study
from mispel.batches import Batches
from mispel.checkpoints import load_training, training_tensors
from mispel.collapse import OutputWatch
from mispel.compute import ForEach
from mispel.network import SLOPE, initialize, new_encoder
from mispel.passes import Learning

CONTRASTS = ("T1w", "T2w")
NUMBERS = 2
"""Of a contrast theta."""
CLIP = 5.0
"""Intensities, in units of the 95th percentile, are cut there."""
TEMPERATURE = 1.0
"""Of the Gumbel-softmax."""
SHARPNESS = 4.0
"""SD over the brain of a class's logits: where it is left to the training, chance outweighs them and all become one."""
SMALLEST_CHANCE = 1e-6
LARGEST_GRADIENT = 1.0
"""Norm to which a step's gradient is cut: without it a training at the demo's rate diverged in its fourth pass."""

FIRST_LOG_VARIANCE = -6.0
"""Of theta before training: with more, chance hides it and the drawing learns to look past it."""


def both_contrasts(study: Study) -> tuple[Study, dict[str, str]]:
    """A study whose scanners are the two contrasts and whose people are the scans that have both.

    Also by such a person's number the scanner. Names of people change nothing, see `without_names`.
    """
    pairs = [scan for scan in without_names(study).scans if scan.t2 is not None]
    scans, scanners = [], {}
    for number, scan in enumerate(pairs):
        own = f"{number:06d}"
        scanners[own] = scan.scanner
        images = [image for image in (scan.image, scan.t2) if image is not None]
        for contrast, image in zip(CONTRASTS, images, strict=True):
            scans.append(dataclasses.replace(scan, subject=own, scanner=contrast, image=image, t2=None))
    return Study(tuple(scans)), scanners


class ContrastEncoder(nn.Module):
    """Slices (B, 1, H, W) and their masks to mean and logarithm of the variance of theta, (B, 2) each.

    What convolutions find is averaged over the brain, so that neither its size nor its place counts.
    """

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        channels = (1, width, 2 * width, 4 * width)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(channels))
        self.last = nn.Conv2d(channels[-1], 2 * NUMBERS, kernel_size=1)
        generator = torch.Generator().manual_seed(seed)
        for layer in (*self.layers, self.last):
            initialize(layer, generator)
        with torch.no_grad():
            assert self.last.bias is not None
            self.last.bias[NUMBERS:] = FIRST_LOG_VARIANCE

    def forward(self, slices: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            slices = functional.leaky_relu(layer(slices), SLOPE)
        # three strides of 2; the box's edges are multiples of 4 alone
        weight = functional.interpolate(mask, size=slices.shape[-2:], mode="area")
        mean = (slices * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
        found = self.last(mean)[:, :, 0, 0]
        return found[:, :NUMBERS], found[:, NUMBERS:]


class Disentangled(nn.Module):
    """Slices (B, 1, H, W), in units of their scan's 95th percentile, and masks to slices of the contrast `theta` (2,).

    beta: one-hot anatomy (B, C, H, W). Weights depend on `seed` alone.
    """

    theta: Tensor

    def __init__(self, settings: Any, seed: int) -> None:
        super().__init__()
        first, second, third, fourth = np.random.SeedSequence([seed, 11]).generate_state(4).tolist()
        self.anatomy = new_encoder(width=settings.beta_width, embeddings=settings.channels, seed=first)
        self.contrast = ContrastEncoder(settings.beta_width, seed=second)
        self.drawing = new_encoder(
            width=settings.width, embeddings=settings.width, seed=third, inputs=settings.channels + NUMBERS
        )
        self.last = nn.Conv2d(settings.width, 1, kernel_size=1)
        initialize(self.last, torch.Generator().manual_seed(fourth))
        self.register_buffer("theta", torch.zeros(NUMBERS))

    def logits(self, slices: Tensor, mask: Tensor) -> Tensor:
        """Of anatomy (B, C, H, W): each class as far above its mean over the brain as others, so that none is lost."""
        found: Tensor = self.anatomy(slices.clamp(max=CLIP))
        count = mask.sum((2, 3), keepdim=True).clamp(min=1)
        centered = (found - (found * mask).sum((2, 3), keepdim=True) / count) * mask
        spread = (centered.square().sum((2, 3), keepdim=True) / count + SMALLEST_CHANCE).sqrt()
        return SHARPNESS * centered / spread

    def contrast_of(self, slices: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of slices' theta, (B, 2) each."""
        found: tuple[Tensor, Tensor] = self.contrast(slices.clamp(max=CLIP), mask)
        return found

    def beta(self, slices: Tensor, mask: Tensor) -> Tensor:
        """The likeliest anatomy (B, C, H, W), one-hot."""
        logits = self.logits(slices, mask)
        return functional.one_hot(logits.argmax(dim=1), logits.shape[1]).permute(0, 3, 1, 2).float()

    def draw(self, beta: Tensor, theta: Tensor, mask: Tensor) -> Tensor:
        """Slices (B, 1, H, W) of anatomy (B, C, H, W) in contrasts theta (B, 2), 0 outside the mask."""
        maps = theta[:, :, None, None].expand(-1, -1, *beta.shape[2:])
        drawn: Tensor = self.last(self.drawing(torch.cat([beta * mask, maps * mask], dim=1)))
        return drawn * mask

    def forward(self, slices: Tensor, mask: Tensor) -> Tensor:
        return self.draw(self.beta(slices, mask), self.theta.expand(len(slices), -1), mask)


def gumbel_one_hot(logits: Tensor, chance: Tensor) -> Tensor:
    """Anatomy drawn by chance, uniform (B, C, H, W), from its logits: one-hot, its gradient that of the softmax."""
    noise = -torch.log(-torch.log(chance.clamp(SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)))
    soft = functional.softmax((logits + noise) / TEMPERATURE, dim=1)
    hard = functional.one_hot(soft.argmax(dim=1), soft.shape[1]).permute(0, 3, 1, 2).to(soft)
    return hard + soft - soft.detach()


class DisentangledLearning(Learning):
    """Pairs of slices in both contrasts: each is drawn from the anatomy of one of the two and its own scan's theta.

    Theta is of another slice of the same image, so that it can't hold where what lies.
    """

    title = "CALAMITI"
    number = 1
    losses = ("reconstruction", "divergence", "cycle", "total")
    advice = "use a lower --param learning_rate, or another seed"

    def __init__(self, batches: Batches, units: np.ndarray, settings: Any, *, seed: int, for_each: ForEach) -> None:
        self.batches, self.units, self.settings, self.seed = batches, units, settings, seed
        self.for_each, self.device = for_each, batches.device
        store = batches.store
        brain = [np.array([layer.any() for layer in store.depths[contrast]]) for contrast in (0, 1)]
        self.slices = np.flatnonzero(brain[0] & brain[1])
        self.others = {
            subject: self.slices[store.subjects[self.slices] == subject] for subject in dict.fromkeys(store.subjects)
        }
        self.items, self.batch_size, self.epochs = len(self.slices), settings.batch, settings.epochs
        self.network = Disentangled(settings, seed).to(self.device)
        self.optimizer = Adam(self.network.parameters(), settings.learning_rate)

    @property
    def described(self) -> str:
        """Slices and scans."""
        return f"{self.items} slices of {len(self.others)} scans in two contrasts"

    def new_watch(self) -> OutputWatch:
        """Of the drawn slices, by contrast."""
        return OutputWatch(CONTRASTS, self.device)

    def begin_epoch(self, epoch: int, order: Sequence[np.ndarray]) -> None:
        """Begin the pass's chances, of which a killed training draws the same."""
        self.random = np.random.default_rng([self.seed, self.number, epoch, 1])

    def train(self, indices: np.ndarray, watch: OutputWatch) -> Tensor:
        """One update by pairs of slices, in two halves side by side."""
        chosen = self.slices[indices]
        subjects = self.batches.store.subjects
        others = np.array([self.random.choice(self.others[subjects[number]]) for number in chosen])
        images, masks = self.shown(chosen)
        further, further_masks = self.shown(others)
        shape = (len(chosen), 2, self.settings.channels, *images.shape[2:])
        chance = torch.from_numpy(self.random.random(shape, dtype=np.float32)).to(self.device)
        normal = torch.from_numpy(self.random.standard_normal((len(chosen), 2, NUMBERS), dtype=np.float32))
        normal = normal.to(self.device)
        exchanged = torch.from_numpy(self.random.random(len(chosen)) < 0.5).to(self.device)
        parts = [part for part in np.array_split(np.arange(len(chosen)), 2) if len(part)]
        parameters = list(self.network.parameters())

        def half(number: int) -> list[Tensor]:
            part = torch.from_numpy(parts[number]).to(self.device)
            given = (images, masks, further, further_masks, chance, normal, exchanged)
            losses, drawn = self._losses(*(values[part] for values in given))
            share = len(part) / len(chosen)
            gradients = torch.autograd.grad(share * losses[-1], parameters)
            return [share * losses.detach(), drawn.detach(), *gradients]

        found = self.for_each(half, len(parts))
        for parameter, *gradients in zip(parameters, *(of_part[2:] for of_part in found), strict=True):
            parameter.grad = sum(gradients[1:], gradients[0])
        nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
        self.optimizer.step()
        watch.add(images, torch.cat([of_part[1] for of_part in found]), masks)
        return torch.stack([of_part[0] for of_part in found]).sum(dim=0)

    def _losses(
        self,
        images: Tensor,
        masks: Tensor,
        further: Tensor,
        further_masks: Tensor,
        chance: Tensor,
        normal: Tensor,
        exchanged: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The losses (4,) of pairs (B, 2, H, W), and what was drawn of them (B, 2, H, W)."""
        count, network, settings = len(images), self.network, self.settings

        def flat(values: Tensor) -> Tensor:
            """A pair's parts one after the other (2B, 1, H, W)."""
            return values.flatten(0, 1)[:, None]

        mask = flat(masks)
        beta = gumbel_one_hot(network.logits(flat(images), mask), chance.flatten(0, 1))
        pairs = beta.unflatten(0, (count, 2))
        # both contrasts show one anatomy: either is drawn from it, by chance from the other's
        beta = torch.where(exchanged[:, None, None, None, None], pairs.flip(1), pairs).flatten(0, 1)
        mean, log_variance = network.contrast_of(flat(further), flat(further_masks))
        theta = mean + torch.exp(log_variance / 2) * normal.flatten(0, 1)
        drawn = network.draw(beta, theta, mask)
        reconstruction = brain_mean((drawn - flat(images)).abs(), mask)
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()
        again = functional.softmax(network.logits(drawn, mask), dim=1)
        cycle = brain_mean((again - beta).abs().mean(dim=1, keepdim=True), mask)
        cycle = cycle + (network.contrast_of(drawn, mask)[0] - theta).abs().mean()
        weights = settings.reconstruction, settings.divergence, settings.cycle
        total = weights[0] * reconstruction + weights[1] * divergence + weights[2] * cycle
        return torch.stack([reconstruction, divergence, cycle, total]), drawn.unflatten(0, (count, 2))[:, :, 0]

    def shown(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Slices in both contrasts (B, 2, H, W), in their images' units and cut, and where both have brain."""
        mask = self.batches.depths(chosen).gt(0).all(dim=1, keepdim=True).float().expand(-1, 2, -1, -1)
        units = torch.as_tensor(self.units[chosen], dtype=torch.float32, device=self.device)
        return (self.batches.images(chosen) * mask / units[:, :, None, None]).clamp(max=CLIP), mask

    def thetas(self, chosen: np.ndarray, contrast: int) -> Tensor:
        """Of slices, in one of the contrasts, (N, 2)."""
        parts = [chosen[begin : begin + INFERENCE_BATCH] for begin in range(0, len(chosen), INFERENCE_BATCH)]
        found = []
        with torch.no_grad():
            for part in parts:
                images, masks = (values[:, contrast : contrast + 1] for values in self.shown(part))
                found.append(self.network.contrast_of(images, masks)[0])
        return torch.cat(found)

    def towards(self, target: np.ndarray, contrast: int) -> Disentangled:
        """The trained networks, to draw in the mean theta of the slices `target` in one of the contrasts."""
        self.network.theta.copy_(self.thetas(np.intersect1d(target, self.slices), contrast).mean(dim=0))
        return self.network

    def tensors(self) -> dict[str, Tensor]:
        """All networks and Adam's state."""
        return training_tensors([self.network], [self.optimizer])

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        load_training([self.network], [self.optimizer], state)
