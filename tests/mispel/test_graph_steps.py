"""MISPEL's steps as a GPU does them: the same functions on the CPU, where nothing is recorded or recording is acted."""

from __future__ import annotations

import dataclasses
import shutil
import warnings

import numpy as np
import pytest
import torch

from core.errors import Caution
from mispel import graph_steps
from mispel.batches import Batches, shuffled_batches
from mispel.checkpoints import Checkpoints
from mispel.collapse import OutputWatch
from mispel.compute import working_threads
from mispel.embedding_cache import build_cache
from mispel.flat_weights import FlatWeights
from mispel.graph_steps import VERSIONS, GraphFitting, GraphLearning, first_step, in_training
from mispel.parameters import Parameters
from mispel.passes import run_step
from mispel.recording import RUNS_BEFORE, Recorder
from mispel.slices import build_store
from mispel.steps import DecoderFitting, EmbeddingLearning
from mispel.training import untrained_model
from tests.support.mispel_data import make_study

CPU = torch.device("cpu")
SETTINGS = Parameters(width=4, embeddings=3, learning_rate=3e-3, step1_epochs=4, step2_epochs=3).settings()
SCANNERS = ("GE", "Philips", "Trio")
COMPILED = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="compiled for a CPU it is another program, made in minutes"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three scanners, a person's scan missing: batches of several sizes, and with and without that scanner."""
    folder = tmp_path_factory.mktemp("store")
    study = make_study(folder, scanners=SCANNERS, missing=(("01", "Philips"),), shape=(16, 20, 16))
    return build_store(study, folder, outside="zero")


def eager(store, precision="float32", parameters=SETTINGS):
    model = untrained_model(store, parameters, seed=1, device=CPU)
    with working_threads(1) as for_each:
        return EmbeddingLearning(
            model, Batches(store, CPU, region="brain"), parameters, precision=precision, for_each=for_each
        )


def by_graph(store, precision="float32", version=VERSIONS[3], parameters=SETTINGS):
    model = untrained_model(store, parameters, seed=1, device=CPU)
    batches = Batches(store, CPU, region="brain")
    return GraphLearning(model, batches, parameters, precision=precision, version=version)


def epochs_of(store):
    """20 batches: whole ones, short ones, and some in which a scanner has no scan at all."""
    lacking = np.flatnonzero(~store.present[:, 1])
    full = [shuffled_batches(len(store), size=4, seed=0, step=1, epoch=epoch) for epoch in (1, 2, 3)]
    return [full[0], [lacking[:4], lacking[4:6]], full[1], full[2]]


def losses_of(step, epochs):
    watch = OutputWatch(SCANNERS, CPU)
    losses = []
    for order in epochs:
        step.begin_epoch(1, order)
        losses.extend(step.train(indices, watch).clone() for indices in order)
    return torch.stack(losses), watch.sums


@pytest.fixture(scope="module")
def expected(store):
    epochs = epochs_of(store)
    assert {len(indices) for order in epochs for indices in order} >= {1, 2, 4}
    found = {precision: losses_of(eager(store, precision), epochs) for precision in ("float32", "bfloat16")}
    assert len(found["float32"][0]) == 20
    return found


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("number", [1, 2, 3, 4, pytest.param(5, marks=COMPILED)])
def test_losses_of_20_steps_are_those_of_the_plain_way(store, expected, number, precision):
    """Float32 differs by the order of sums alone; bfloat16 rounds at 1/256, and 20 updates go on from that."""
    found, sums = losses_of(by_graph(store, precision, VERSIONS[number]), epochs_of(store))
    wanted, wanted_sums = expected[precision]
    tolerance = 1e-5 if precision == "float32" else 1e-3
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance / 10)
    torch.testing.assert_close(sums, wanted_sums, rtol=10 * tolerance, atol=tolerance)


def test_a_processor_needs_no_kernels_of_a_gpu(store):
    """Neither alone nor as one of several ranks, in bfloat16 either."""
    model = untrained_model(store, SETTINGS, seed=1, device=CPU)
    step = GraphLearning(model, Batches(store, CPU, region="brain"), SETTINGS, precision="bfloat16")
    assert not step.version.own_kernels
    assert not in_training(CPU).own_kernels


def test_a_training_goes_on_either_way(store):
    """The same names and shapes in checkpoints, and what follows is the same, an epoch in float32 too."""
    epochs = epochs_of(store)
    first, second = by_graph(store, "bfloat16"), eager(store, "bfloat16")
    losses_of(first, epochs[:2])
    losses_of(second, epochs[:2])
    one, other = first.tensors(), second.tensors()
    assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in other.items()}
    for state in (one, other):
        kept = {name: value.clone() for name, value in state.items()}
        plain, fast = eager(store), by_graph(store, "bfloat16")
        losses_of(fast, epochs[2:])
        for step in (plain, fast):
            step.restore(kept)
        with fast.in_float32():
            found, wanted = losses_of(fast, epochs[2:]), losses_of(plain, epochs[2:])
        torch.testing.assert_close(found[0], wanted[0], rtol=1e-5, atol=1e-6)


class Acted(Recorder):
    """Records as a GPU does: recording computes nothing, a replay does what was recorded, into the same outputs."""

    def __init__(self, device, *, record=True):
        super().__init__(device, record=record)
        self.recording, self.recorded = record, []

    def _record(self, key, work):
        self.recorded.append(key)
        outputs = torch.zeros(4), torch.zeros(6, len(SCANNERS), dtype=torch.float64)

        class Graph:
            def replay(self):
                for kept, made in zip(outputs, work(), strict=True):
                    kept.copy_(made)

        self.graphs[key] = Graph(), outputs


def test_recorded_batches_are_those_that_were_not(store, monkeypatch):
    parameters = dataclasses.replace(SETTINGS, step1_epochs=5)
    outcomes = []
    for recorder in (Recorder, Acted):
        monkeypatch.setattr(graph_steps, "Recorder", recorder)
        step = by_graph(store, parameters=parameters)
        outcomes.append(run_step(step, seed=2, settled=False))
    plain, recorded = outcomes
    assert recorded.history == plain.history
    assert all(torch.equal(value, recorded.tensors[name]) for name, value in plain.tensors.items())
    # whole and short batches, each after the runs before
    assert {batch.size for batch in step.recorder.recorded} == {4, 1}


def test_a_rehearsal_leaves_no_trace(store, monkeypatch):
    monkeypatch.setattr(graph_steps, "Recorder", Acted)
    step = by_graph(store)
    before = {name: value.clone() for name, value in step.tensors().items()}
    step.rehearse()
    assert len(step.recorder.recorded) == 1
    assert all(torch.equal(value, before[name]) for name, value in step.tensors().items())
    assert run_step(step, seed=2, settled=False).history == run_step(by_graph(store), seed=2, settled=False).history


def test_what_cannot_be_recorded_is_run_as_it_is():
    """No processor records graphs: on it the error is a real one."""
    recorder = Recorder(CPU)
    recorder.recording = True
    count = torch.zeros(1)

    def runs(times):
        for _ in range(times):
            recorder("key", lambda: (count.add_(1),))

    runs(RUNS_BEFORE)
    with pytest.warns(Caution, match="can't be recorded as CUDA graphs here"):
        runs(1)
    with warnings.catch_warnings(action="error"):
        runs(3)
    assert count.item() == RUNS_BEFORE + 4


def test_where_the_faster_way_fails_the_slower_one_is_taken(store, monkeypatch):
    class Fails(GraphLearning):
        def rehearse(self):
            raise RuntimeError("no kernel image is available\nfor execution")

    monkeypatch.setattr(graph_steps, "GraphLearning", Fails)
    monkeypatch.setattr(graph_steps, "on_gpu", lambda device: True)
    model = untrained_model(store, SETTINGS, seed=1, device=CPU)
    batches = Batches(store, CPU, region="brain")
    with working_threads(1) as for_each, pytest.warns(Caution, match="no kernel image is available\\); the slower"):
        step = first_step(model, batches, SETTINGS, precision="float32", for_each=for_each)
    assert type(step) is EmbeddingLearning
    found = losses_of(step, epochs_of(store)[:1])
    torch.testing.assert_close(found, losses_of(eager(store), epochs_of(store)[:1]))


@pytest.mark.filterwarnings("ignore:MISPEL step 2, epoch")  # so short a training is flat
def test_step_2_is_that_of_the_plain_way(store, tmp_path, monkeypatch):
    """From embeddings mapped from disk, and from those kept on the device; resumed after an epoch, too."""
    outcomes = []
    with working_threads(1) as for_each:
        for kind, resident in ((DecoderFitting, False), (GraphFitting, False), (GraphFitting, True)):
            monkeypatch.setattr("mispel.embedding_cache.on_gpu", lambda device, resident=resident: resident)
            model = untrained_model(store, SETTINGS, seed=1, device=CPU)
            cache = build_cache(model, store, tmp_path, limit_gb=0, for_each=for_each)
            assert cache.dtype == np.float16
            assert bool(cache.resident) == resident
            batches, folder = Batches(store, CPU, region="brain"), tmp_path / f"{kind.__name__}{resident}"
            for epochs in (1, SETTINGS.step2_epochs):
                parameters = dataclasses.replace(SETTINGS, step2_epochs=epochs)
                step = kind(model, batches, parameters, cache=cache)
                ended = run_step(step, seed=0, checkpoints=Checkpoints(folder, {}), settled=False)
            outcomes.append([row["total"] for row in ended.history])
            shutil.rmtree(folder)
    assert len(outcomes[0]) == SETTINGS.step2_epochs
    np.testing.assert_allclose(outcomes[1], outcomes[0], rtol=1e-5)
    assert outcomes[2] == outcomes[1]


def test_flat_weights_are_the_encoders_own(store):
    encoders = untrained_model(store, SETTINGS, seed=1, device=CPU).encoders
    before = [parameter.detach().clone() for encoder in encoders for parameter in encoder.parameters()]
    flat = FlatWeights(encoders)
    after = [parameter for encoder in encoders for parameter in encoder.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    flat.values.mul_(2)
    assert all(torch.equal(2 * one, other) for one, other in zip(before, after, strict=True))
    assert torch.equal(flat.weights(6)[1], encoders[1].widen2.weight.permute(0, 2, 3, 1))
