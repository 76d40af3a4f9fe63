"""MISPEL's Step 2 solved exactly, against a linear program and against Adam."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from mispel.batches import Batches
from mispel.compute import working_threads
from mispel.embedding_cache import EmbeddingCache
from mispel.errors import TrainingError
from mispel.losses import LossWeights, step_losses
from mispel.model import new_model
from mispel.network import decode
from mispel.parameters import Parameters
from mispel.passes import run_step
from mispel.slices import Box, Grid, SliceStore
from mispel.step2_optimum import LARGEST_GAP, Problem, solve
from mispel.steps import DecoderFitting
from mispel.training import look_at_outputs, solve_decoders

CPU = torch.device("cpu")
SHAPE = (8, 12)


def one_by_one(work, count):
    return [work(number) for number in range(count)]


def made_up(*, slices=5, scanners=3, maps=2, seed=0, missing=(), shape=SHAPE) -> tuple[SliceStore, EmbeddingCache]:
    """Embeddings of random maps that are nearly shared, and images that mix them by scanner."""
    random = np.random.default_rng(seed)
    shared = random.uniform(0, 1, (slices, maps, *shape))
    embeddings = [(shared + 0.1 * random.normal(size=shared.shape)).astype(np.float32) for _ in range(scanners)]
    images = [
        (np.tensordot(random.uniform(0.3, 1.5, maps), values, (0, 1)) + 0.05 * random.standard_t(3, (slices, *shape)))
        .clip(0.01)
        .astype(np.float32)
        for values in embeddings
    ]
    present = np.ones((slices, scanners), bool)
    for number, scanner in missing:
        present[number, scanner] = False
        images[scanner][number] = embeddings[scanner][number] = 0
    store = SliceStore(
        scanners=tuple("abcdefgh"[:scanners]),
        images=tuple(images),
        # brain fills two thirds of each slice, and isn't told by intensities
        depths=tuple(np.broadcast_to(np.arange(shape[1]) % 3 > 0, image.shape).astype(np.uint8) for image in images),
        present=present,
        subjects=np.repeat("01", slices),
        positions=np.arange(slices),
        box=Box(0, shape[0], 0, shape[1]),
        grid=Grid((*shape, slices), np.eye(4)),
        scale="none",
        checksum="",
    )
    return store, EmbeddingCache(tuple(embeddings))


def problem_of(store, cache, **options) -> Problem:
    return Problem(store=store, cache=cache, lambda3=1.0, lambda4=4.0, for_each=one_by_one, **options)


def loss_of(store, cache, coefficients, *, relu=False, region="box") -> float:
    """Eq. 6 over all slices, by the training's own loss functions."""
    everything = np.arange(len(store))
    batches = Batches(store, CPU, region=region)
    seen = batches.seen(everything)
    seen = replace(seen, images=seen.images.double())
    embeddings = cache.embeddings(everything).double()
    outputs = decode(embeddings, torch.from_numpy(coefficients).double(), relu=relu)
    weights = LossWeights.second_step(1.0, 4.0)
    *_, total = step_losses(weights, seen, embeddings, outputs)
    return total.item()


def optimum_by_linear_programme(store, cache) -> float:
    """Eq. 6's minimum by scipy's linprog: minimize the weighted bounds of each row's absolute value."""
    scanners, maps = len(store.images), cache.arrays[0].shape[1]
    rows, constants, weights = [], [], []
    for number in range(len(store)):
        here = np.flatnonzero(store.present[number])
        pairs = list(combinations(here, 2))
        z = {i: cache.arrays[i][number].reshape(maps, -1).astype(float) for i in here}
        voxels = z[here[0]].shape[1]
        for i in here:
            block = np.zeros((voxels, scanners, maps))
            block[:, i] = -z[i].T
            rows.append(block)
            constants.append(store.images[i][number].ravel())
            weights.append(np.full(voxels, scanners / len(here) / voxels / len(store)))
        for i, k in pairs:
            block = np.zeros((voxels, scanners, maps))
            block[:, i], block[:, k] = z[i].T, -z[k].T
            rows.append(block)
            constants.append(np.zeros(voxels))
            weights.append(np.full(voxels, 4 / len(pairs) / voxels / len(store)))
    gradients = np.concatenate(rows).reshape(-1, scanners * maps)
    offsets, costs = np.concatenate(constants), np.concatenate(weights)
    # the dual: maximize y b with A'y = 0 and |y| <= w
    found = linprog(
        -offsets, A_eq=gradients.T, b_eq=np.zeros(scanners * maps), bounds=np.stack([-costs, costs], axis=1)
    )
    assert found.status == 0
    return -found.fun


@pytest.mark.parametrize("missing", [(), ((0, 1), (3, 0)), ((2, 0), (2, 1))])
def test_reaches_the_linear_programmes_optimum(missing):
    store, cache = made_up(missing=missing)
    solution = solve(problem_of(store, cache), np.full((3, 2), 0.5), seed=0)
    expected = optimum_by_linear_programme(store, cache)
    assert solution.gap <= LARGEST_GAP
    assert solution.lower_bound <= expected + 1e-9
    assert loss_of(store, cache, solution.coefficients) == pytest.approx(expected, rel=LARGEST_GAP)
    assert loss_of(store, cache, solution.coefficients) >= expected - 1e-7


@pytest.mark.parametrize("region", ["box", "brain"])
def test_its_loss_is_the_trainings_loss(region):
    store, cache = made_up(scanners=4, missing=((1, 2),), slices=3)
    images = [np.where(np.arange(SHAPE[1]) < 5, array, 0).astype(np.float32) for array in store.images]
    store = dataclasses.replace(store, images=tuple(images))
    problem = problem_of(store, cache, brain_only=region == "brain")
    coefficients = np.random.default_rng(2).uniform(0, 1, (4, 2))
    for relu in (False, True):
        sums = dataclasses.replace(problem, relu=relu).sums_of_all(coefficients - 0.3 * relu, 0.1)
        assert sums.loss == pytest.approx(
            loss_of(store, cache, coefficients - 0.3 * relu, relu=relu, region=region), rel=1e-6
        )


def test_its_derivatives_are_those_of_the_rounded_loss():
    store, cache = made_up(slices=2)
    problem, width = problem_of(store, cache), 0.07

    def rounded(place):
        sums = problem.sums_of_all(place, width)
        return sums.gradient.ravel(), sums.newton / width

    place = np.random.default_rng(0).uniform(0.2, 0.8, (3, 2))
    gradient, second = rounded(place)
    numeric = np.empty_like(second)
    for number in range(6):
        change = np.zeros(6)
        change[number] = 1e-5
        forward, _ = rounded(place + change.reshape(3, 2))
        backward, _ = rounded(place - change.reshape(3, 2))
        numeric[number] = (forward - backward) / 2e-5
    # the slopes have kinks, which a difference may straddle
    np.testing.assert_allclose(second, numeric, atol=0.03 * np.abs(second).max())
    assert np.abs(gradient).max() > 0


def test_relu_never_ends_above_its_start():
    store, cache = made_up(seed=3)
    for start in (np.full((3, 2), 0.5), np.full((3, 2), 0.05), np.array([[1.0, -0.5]] * 3)):
        solution = solve(problem_of(store, cache, relu=True), start, seed=0)
        assert loss_of(store, cache, solution.coefficients, relu=True) <= loss_of(store, cache, start, relu=True)
        assert solution.gap is None


def test_dead_and_equal_maps_do_no_harm():
    store, cache = made_up(maps=4)
    arrays = [array.copy() for array in cache.arrays]
    for array in arrays:
        array[:, 2] = 0
        array[:, 3] = array[:, 0]
    solution = solve(problem_of(store, EmbeddingCache(tuple(arrays))), np.full((3, 4), 0.25), seed=0)
    assert solution.gap <= LARGEST_GAP
    assert np.isfinite(solution.coefficients).all()


def test_chunks_and_threads_change_nothing(monkeypatch):
    store, cache = made_up(slices=7)
    alone = solve(problem_of(store, cache), np.full((3, 2), 0.5), seed=0)
    monkeypatch.setattr("mispel.step2_optimum.CHUNK_VOXELS", 200)
    with working_threads(2) as for_each:
        problem = dataclasses.replace(problem_of(store, cache), for_each=for_each)
        twice = [solve(problem, np.full((3, 2), 0.5), seed=0).coefficients for _ in range(2)]
    np.testing.assert_array_equal(twice[0], twice[1])
    np.testing.assert_allclose(twice[0], alone.coefficients, atol=1e-5)


def test_no_worse_than_adam():
    store, cache = made_up(slices=12, shape=(24, 28))
    model = new_model(
        store.scanners,
        width=1,
        embeddings=2,
        relu=False,
        seed=0,
        box=store.box,
        grid=store.grid,
        scale="none",
        outside="nearest",
        precision="float32",
        device=CPU,
    )
    start = model.coefficients.clone()
    batches = Batches(store, CPU, region="box")
    parameters = Parameters(step2_epochs=20, learning_rate=0.01)
    with working_threads(1) as for_each:
        run_step(DecoderFitting(model, batches, parameters, cache=cache), seed=0)
        by_adam = loss_of(store, cache, model.coefficients.numpy())
        model.coefficients.copy_(start)
        _, gap = solve_decoders(model, batches, cache, parameters, seed=0, for_each=for_each)
        assert gap <= LARGEST_GAP
        assert loss_of(store, cache, model.coefficients.numpy()) < by_adam < loss_of(store, cache, start.numpy())
        # what only harmonizes has the optimum 0 everywhere, which is named
        flat = dataclasses.replace(parameters, lambda3=1e-6, lambda4=10.0)
        solve_decoders(model, batches, cache, flat, seed=0, for_each=for_each)
        with pytest.raises(TrainingError, match="contrast|dead"):
            look_at_outputs(model, batches, cache, flat, settled=True)
