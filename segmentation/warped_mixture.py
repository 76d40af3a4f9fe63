"""The unified segmentation of Ashburner and Friston (NeuroImage 2005): tissues, bias field and warp, one model.

An intensity, times exp of a smooth field, is of a mixture of Gaussians, two a tissue, whose proportions at each
voxel are those of an atlas's maps, read where a smooth warp says. Mixture, field and warp are improved in turn, each
with the others as they are, which never raises the cost: the paper's iterated conditional modes.

No library has it with a license and wheels for us: SPM's is GPL and MATLAB's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from segmentation.cosine_bases import (
    Axes,
    bending,
    cosine_axes,
    counts_above,
    field,
    projected,
    weighted_products,
)

TISSUE_OF = np.array([0, 0, 1, 1, 2, 2])
"""Of each Gaussian; the paper has two for each of CSF, GM and WM, since few voxels are of one tissue alone."""

SAMPLED_MM = 3.0
"""Voxels are thinned to about this distance to fit, as the paper does; every voxel is classified."""

BIAS_SHORTEST_MM = 60.0
BIAS_STIFFNESS = 1e5
"""In mm^4: a field of 60 mm that changes by a tenth costs a thirtieth of a nat a voxel."""

WARP_SHORTEST_MM = 50.0
"""The paper's deformation has about a thousand cosines: this gives a brain some 1300."""

WARP_STIFFNESS = 30.0
"""In mm^2: a warp of 50 mm that moves by 5 costs a twentieth of a nat a voxel."""

ROUNDS = 30
MIXTURE_STEPS = 20
TOLERANCE = 1e-3
"""Nats a voxel: less gained in a round ends the fit."""

SLIGHTEST_SPREAD = 0.01
"""Of the image's standard deviation, below which no Gaussian's falls: on a few equal values it would vanish."""

DIFFERENCE_MM = 1.0
HALVINGS = 6

Priors = Callable[[np.ndarray], np.ndarray]
"""Tissue probabilities (3, N) at places (N, 3) in the atlas's mm."""


@dataclass(frozen=True)
class Model:
    """What is fitted: Gaussians (6,), the log field's coefficients (I, J, K), the warp's (3, I, J, K) in mm."""

    means: np.ndarray
    variances: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    warp: np.ndarray


@dataclass(frozen=True)
class Brain:
    """The thinned brain: values (N,), places (N, 3) in the atlas's mm before the warp, and which voxels they are."""

    values: np.ndarray
    places: np.ndarray
    inside: np.ndarray
    bias_axes: Axes
    warp_axes: Axes
    bias_stiffness: np.ndarray
    warp_stiffness: np.ndarray
    priors: Priors


def thinned(
    image: np.ndarray, mask: np.ndarray, voxel_sizes: tuple[float, float, float], places: np.ndarray, priors: Priors
) -> Brain:
    """The brain of `mask` (X, Y, Z), bool, thinned; `places` (N, 3) are those of all its voxels."""
    step = max(1, round(SAMPLED_MM / float(np.mean(voxel_sizes))))
    lengths = [size * count for size, count in zip(voxel_sizes, mask.shape, strict=True)]
    bias, warp = counts_above(lengths, BIAS_SHORTEST_MM), counts_above(lengths, WARP_SHORTEST_MM)
    cut = (slice(None, None, step),) * 3
    kept = np.zeros_like(mask)
    kept[cut] = mask[cut]
    return Brain(
        values=image[kept].astype(np.float64),
        places=places[kept[mask]],
        inside=mask[cut],
        bias_axes=cosine_axes(mask.shape, bias, step),
        warp_axes=cosine_axes(mask.shape, warp, step),
        # a cosine's energy is spread over all voxels, of which one in step^3 is here
        bias_stiffness=BIAS_STIFFNESS * bending(lengths, bias) / step**3,
        warp_stiffness=WARP_STIFFNESS * bending(lengths, warp) / step**3,
        priors=priors,
    )


def fit(brain: Brain) -> Model:
    """The model of a brain, from Gaussians where the atlas, unwarped, has each tissue."""
    model = started(brain)
    last = cost(brain, model)
    for _ in range(ROUNDS):
        model = with_better_mixture(brain, model)
        model = with_better_bias(brain, model)
        model = with_better_mixture(brain, model)
        model = with_better_warp(brain, model)
        found = cost(brain, model)
        if last - found < TOLERANCE * brain.values.size:
            break
        last = found
    return model


def started(brain: Brain) -> Model:
    """Without field and warp; a tissue's two Gaussians lie half a standard deviation below and above its mean."""
    priors = brain.priors(brain.places)
    total = priors.sum(axis=1)
    means = priors @ brain.values / total
    variances = (priors * np.square(brain.values - means[:, None])).sum(axis=1) / total
    side = np.where(np.arange(TISSUE_OF.size) % 2 == 0, -0.5, 0.5)
    return Model(
        means=means[TISSUE_OF] + side * np.sqrt(variances)[TISSUE_OF],
        variances=variances[TISSUE_OF],
        weights=np.full(TISSUE_OF.size, 1 / TISSUE_OF.size),
        bias=np.zeros([axis.shape[1] for axis in brain.bias_axes]),
        warp=np.zeros([3, *(axis.shape[1] for axis in brain.warp_axes)]),
    )


def cost(brain: Brain, model: Model) -> float:
    """Minus the log of likelihood and penalties' priors, in nats, but for constants: the paper's objective."""
    log_bias = _log_bias(brain, model)
    likely = np.exp(log_bias) * mixture_density(
        brain.values * np.exp(log_bias), brain.priors(_warped(brain, model)), model
    ).sum(axis=0)
    penalty = (brain.bias_stiffness * np.square(model.bias)).sum() + (
        brain.warp_stiffness * np.square(model.warp)
    ).sum()
    return float(penalty / 2 - np.log(likely).sum())


def mixture_density(values: np.ndarray, priors: np.ndarray, model: Model) -> np.ndarray:
    """Each Gaussian's share (6, N) of the density of field-free values (N,), by tissue priors (3, N)."""
    proportions = model.weights[:, None] * priors[TISSUE_OF]
    proportions /= proportions.sum(axis=0)
    off = np.square(values - model.means[:, None]) / model.variances[:, None]
    gaussians = np.exp(-off / 2) / np.sqrt(2 * np.pi * model.variances)[:, None]
    return np.maximum(proportions * gaussians, np.finfo(np.float64).tiny)


def with_better_mixture(brain: Brain, model: Model) -> Model:
    """Steps of expectation and maximization, field and warp as they are.

    A weight is what a Gaussian was given over what the atlas, by all weights, would have let it have.
    """
    values = brain.values * np.exp(_log_bias(brain, model))
    priors = brain.priors(_warped(brain, model))
    least = np.square(SLIGHTEST_SPREAD * values.std())
    before = -np.inf
    for _ in range(MIXTURE_STEPS):
        shares = mixture_density(values, priors, model)
        total = shares.sum(axis=0)
        likelihood = np.log(total).sum()
        if likelihood - before < TOLERANCE * values.size:
            break
        before = likelihood
        shares /= total
        of_each = shares.sum(axis=1)
        scale = (model.weights[:, None] * priors[TISSUE_OF]).sum(axis=0)
        weights = of_each / (priors[TISSUE_OF] / scale).sum(axis=1)
        means = shares @ values / of_each
        variances = (shares * np.square(values - means[:, None])).sum(axis=1) / of_each
        model = replace(model, means=means, variances=np.maximum(variances, least), weights=weights / weights.sum())
    return model


def with_better_bias(brain: Brain, model: Model) -> Model:
    """One damped Newton step of the log field; its mean stays 0, since the Gaussians' scale has it."""
    free = brain.values * np.exp(_log_bias(brain, model))
    shares = mixture_density(free, brain.priors(_warped(brain, model)), model)
    shares /= shares.sum(axis=0)
    precision = shares / model.variances[:, None]
    slope = free * (free * precision.sum(axis=0) - (precision * model.means[:, None]).sum(axis=0)) - 1
    curvature = np.square(free) * precision.sum(axis=0) + 1
    gradient = projected(brain.bias_axes, _on_grid(brain, slope)) + brain.bias_stiffness * model.bias
    products = weighted_products(brain.bias_axes, _on_grid(brain, curvature)) + np.diag(brain.bias_stiffness.ravel())
    step = np.zeros(gradient.size)
    step[1:] = linalg.solve(products[1:, 1:], gradient.ravel()[1:], assume_a="pos")
    return _along(brain, model, "bias", step.reshape(gradient.shape))


def with_better_warp(brain: Brain, model: Model) -> Model:
    """One damped Gauss-Newton step of the warp, the Gaussians' densities as they are."""
    values = brain.values * np.exp(_log_bias(brain, model))
    places = _warped(brain, model)
    priors = brain.priors(places)
    flat = mixture_density(values, np.ones_like(priors), model)
    densities = np.stack([flat[tissue == TISSUE_OF].sum(axis=0) for tissue in range(len(priors))])
    weights = np.array([model.weights[tissue == TISSUE_OF].sum() for tissue in range(len(priors))])[:, None]
    by_prior = densities / (densities * priors).sum(axis=0) - weights / (weights * priors).sum(axis=0)
    slopes = []
    for axis in np.eye(3) * DIFFERENCE_MM:
        change = (brain.priors(places + axis) - brain.priors(places - axis)) / (2 * DIFFERENCE_MM)
        slopes.append(-(by_prior * change).sum(axis=0))
    gradient = np.stack([projected(brain.warp_axes, _on_grid(brain, slope)) for slope in slopes])
    gradient += brain.warp_stiffness * model.warp
    blocks = {
        (one, other): weighted_products(brain.warp_axes, _on_grid(brain, slopes[one] * slopes[other]))
        for one in range(3)
        for other in range(one + 1)
    }
    products = np.block([[blocks[max(one, other), min(one, other)] for other in range(3)] for one in range(3)])
    products += np.diag(np.tile(brain.warp_stiffness.ravel(), 3))
    # where the brain has no edge at all, nothing holds the mean place
    products += np.eye(len(products)) * 1e-6 * np.trace(products) / len(products)
    step = linalg.solve(products, gradient.ravel(), assume_a="pos")
    return _along(brain, model, "warp", step.reshape(gradient.shape))


def _along(brain: Brain, model: Model, name: str, step: np.ndarray) -> Model:
    """The model a step on, halved until the cost falls; as it was where it never does."""
    before = cost(brain, model)
    for halving in range(HALVINGS):
        tried = replace(model, **{name: getattr(model, name) - step / 2**halving})
        if cost(brain, tried) < before:
            return tried
    return model


def _on_grid(brain: Brain, values: np.ndarray) -> np.ndarray:
    found = np.zeros(brain.inside.shape)
    found[brain.inside] = values
    return found


def _log_bias(brain: Brain, model: Model) -> np.ndarray:
    return field(brain.bias_axes, model.bias)[brain.inside]


def _warped(brain: Brain, model: Model) -> np.ndarray:
    return brain.places + np.stack([field(brain.warp_axes, one)[brain.inside] for one in model.warp], axis=1)
