"""MISPEL's training killed and gone on with, its checkpoints, and its cached embeddings."""

from __future__ import annotations

import copy
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.harness.fitting import fit_method
from baselines.interface import Context
from core.errors import Caution
from core.sheet import read_sheet
from mispel.batches import Batches
from mispel.checkpoints import Checkpoint, Checkpoints
from mispel.compute import working_threads
from mispel.embedding_cache import ENCODING_BATCH, EmbeddingCache, build_cache
from mispel.errors import TrainingError
from mispel.method import Mispel
from mispel.parameters import Parameters
from mispel.passes import run_step
from mispel.slices import build_store, new_array
from mispel.steps import DecoderFitting, EmbeddingLearning
from mispel.training import train, untrained_model
from tests.support.mispel_data import make_study, write_study
from tests.support.paths import ROOT

CPU = torch.device("cpu")
SETTINGS = {
    "width": 4,
    "embeddings": 3,
    "step1_epochs": 6,
    "step2_epochs": 6,
    "precision": "float32",
    "learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), subjects=2, scanners=("GE", "Trio"), shape=(20, 24, 16))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return build_store(make_study(folder, scanners=("GE", "Trio"), shape=(20, 24, 16)), folder, outside="nearest")


def command(sheet: Path, model: Path, checkpoint: Path) -> list[str]:
    settings = [f"--param={name}={value}" for name, value in SETTINGS.items()]
    paths = [f"--scans={sheet}", f"--model={model}", f"--checkpoint={checkpoint}"]
    return [sys.executable, "-m", "mispel", "fit", *paths, "--seed=5", "--device=cpu", *settings]


def start(arguments: list[str]) -> subprocess.Popen:
    repository = ROOT
    return subprocess.Popen(
        arguments, cwd=repository, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def wait_for(pattern: str, folder: Path, process: subprocess.Popen) -> None:
    end = time.monotonic() + 120
    while not list(folder.glob(pattern)) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


@pytest.mark.slow
def test_killed_twice_and_resumed_ends_in_the_same_bytes(sheet, tmp_path):
    undisturbed = Context(seed=5, device="cpu")
    fit_method(
        "mispel",
        read_sheet(sheet, scale="brain"),
        tmp_path / "one",
        parameters=Parameters(**SETTINGS),
        context=undisturbed,
    )
    checkpoint = tmp_path / "checkpoint_two"
    for seen in ("step1-00002*", "step2-00002*"):
        killed = start(command(sheet, tmp_path / "two", checkpoint))
        wait_for(seen, checkpoint, killed)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL, "it ended before it could be killed"
        assert not (tmp_path / "two").exists()
    resumed = start(command(sheet, tmp_path / "two", checkpoint))
    _, told = resumed.communicate()
    assert resumed.returncode == 0, told.decode()
    for name in ("weights.safetensors", "model.json", "losses.tsv", "embeddings.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not checkpoint.exists()


def fit(store, folder, checkpoints=None, **changes):
    parameters = Parameters(**(SETTINGS | changes))
    return train(store, parameters, seed=5, threads=1, device=CPU, folder=folder, checkpoints=checkpoints)


def same(one, other) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(store, tmp_path, damage):
    checkpoints = Checkpoints(tmp_path / "checkpoint", {"settings": 1})
    undisturbed = fit(store, tmp_path, step1_epochs=4).model.tensors()
    fit(store, tmp_path, checkpoints, step1_epochs=3, step2_epochs=1)
    for path in (tmp_path / "checkpoint").glob("step2*"):
        path.unlink()
    newest = tmp_path / "checkpoint" / "step1-00003.safetensors"
    content = bytearray(newest.read_bytes())
    content[-9] ^= 4
    newest.write_bytes({"truncated": content[:-50], "flipped": content, "empty": b""}[damage])
    with pytest.warns(UserWarning, match=r"step1-00003\.safetensors.*checkpoint before it"):
        resumed = fit(store, tmp_path, checkpoints, step1_epochs=4)
    assert same(undisturbed, resumed.model.tensors())
    assert [row["epoch"] for row in resumed.history if row["step"] == 1] == [1, 2, 3, 4]


class BreaksInEpoch3(EmbeddingLearning):
    """Step 1 whose decoders leave the way down at the end of epoch 3, in bfloat16 alone."""

    batches_in_bfloat16 = 0

    def train(self, indices, watch):
        losses = super().train(indices, watch)
        if self.precision != "bfloat16":
            return losses
        self.batches_in_bfloat16 += 1
        if self.batches_in_bfloat16 == 3 * self.batches_a_pass:
            losses[-1] *= 1e6
            with torch.no_grad():
                self.coefficients.mul_(1e3)
        return losses


def test_an_epoch_that_diverges_in_bfloat16_is_done_again_in_float32(store, tmp_path, capsys):
    parameters = Parameters(**SETTINGS).settings()

    def learned(kind, precision, epochs, checkpoints):
        model = untrained_model(store, parameters, seed=5, device=CPU)
        with working_threads(1) as for_each:
            step = kind(model, Batches(store, CPU, region="box"), parameters, precision=precision, for_each=for_each)
            step.epochs = epochs
            return run_step(step, seed=5, checkpoints=checkpoints, settled=False)

    broken = Checkpoints(tmp_path / "broken", {})
    found = learned(BreaksInEpoch3, "bfloat16", 4, broken)
    assert "epoch 3: the loss rose" in capsys.readouterr().err
    assert [row["precision"] for row in found.history] == ["bfloat16", "bfloat16", "float32", "bfloat16"]
    by_hand = Checkpoints(tmp_path / "by_hand", {})
    for precision, epochs in (("bfloat16", 2), ("float32", 3), ("bfloat16", 4)):
        expected = learned(EmbeddingLearning, precision, epochs, by_hand)
    assert found.history == expected.history
    assert same(found.tensors, expected.tensors)


def test_a_checkpoint_of_another_training_is_not_gone_on_from(store, tmp_path):
    fit(store, tmp_path, Checkpoints(tmp_path / "checkpoint", {"seed": 1, "width": 4}), step1_epochs=2)
    other = Checkpoints(tmp_path / "checkpoint", {"seed": 2, "width": 4})
    with pytest.warns(UserWarning, match="other settings.*seed"):
        assert other.latest("step1") is None
    # nor does it stand in the way of this training's own, though it came farther
    other.save("step1", Checkpoint(1, {"weights": torch.zeros(1)}, [], None))
    found = other.latest("step1")
    assert found is not None
    assert found.epoch == 1


def test_the_identity_of_a_training_is_in_its_checkpoints(sheet, tmp_path):
    study = make_study(tmp_path, scanners=("GE", "Trio"), shape=(20, 24, 16))
    store = build_store(study, tmp_path / "store", outside="nearest")

    def identity(seed=0, **changes):
        return Mispel(Parameters(**(SETTINGS | changes)), Context(seed=seed))._identity(store, CPU)

    assert identity() == identity()
    assert identity() != identity(seed=1)
    assert identity() != identity(lambda2=0.5)


def test_a_training_may_go_on_elsewhere_which_is_said(store, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "checkpoint", {})
    monkeypatch.setattr("mispel.passes.here", lambda device, processes: "cuda with torch 2.11")
    fit(store, tmp_path, checkpoints, step1_epochs=1)
    monkeypatch.undo()
    with pytest.warns(Caution, match="MISPEL step 1: trained on cuda with torch 2.11 so far, it goes on on cpu with"):
        ended = fit(store, tmp_path, checkpoints, step1_epochs=2)
    assert ended.facts["trained_on"] == ["cuda with torch 2.11", f"cpu with torch {torch.__version__}"]


def test_a_full_disk_is_named_and_the_checkpoint_before_still_good(store, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, {})
    first = Checkpoint(1, {"a": torch.ones(3)}, [], None)
    checkpoints.save("step1", first)

    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(TrainingError, match="No space left.*still good"):
            checkpoints.save("step1", Checkpoint(2, {"a": torch.zeros(3)}, [], None))
    assert torch.equal(checkpoints.latest("step1").tensors["a"], torch.ones(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step1-00001.safetensors"]

    monkeypatch.setattr(os, "posix_fallocate", lambda *_: full(tmp_path, b""))
    with pytest.raises(TrainingError, match="No space left.*TMPDIR"):
        new_array(tmp_path / "array.npy", (10, 10), np.float32)
    assert not (tmp_path / "array.npy").exists()


def test_only_two_checkpoints_are_kept(store, tmp_path):
    fit(store, tmp_path, Checkpoints(tmp_path / "checkpoint", {}))
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == [
        f"step{step}-0000{epoch}.safetensors" for step in (1, 2) for epoch in (5, 6)
    ]


class EncodedAnew(EmbeddingCache):
    """Embeddings as Step 2 would make them in every batch without a cache."""

    def embeddings(self, indices):
        model, store = self.resident
        slices = [torch.from_numpy(images[indices])[:, None] for images in store.images]
        return torch.stack([model.encode(number, part) for number, part in enumerate(slices)], dim=1)


def test_cached_embeddings_give_what_encoding_anew_gives(store, tmp_path):
    outcomes = []
    trained = fit(store, tmp_path).model
    with working_threads(1) as for_each:
        for kind in ("float32", "float16", "anew"):
            model = copy.deepcopy(trained)
            cache = build_cache(
                model, store, tmp_path / kind, limit_gb=0 if kind == "float16" else 1, for_each=for_each
            )
            assert cache.dtype == (np.float16 if kind == "float16" else np.float32)
            if kind == "anew":
                cache = EncodedAnew((), (model, store))
            fitting = DecoderFitting(model, Batches(store, CPU, region="box"), Parameters(step2_epochs=3), cache=cache)
            run_step(fitting, seed=0)
            outcomes.append(model.coefficients)
    cached, half, anew = outcomes
    # a convolution may add in another order for a batch of another make-up; that rounding, some 1e-7 of an
    # embedding, moved the coefficients by 3e-8 where it showed, and float16's, 5000 times as large, by 2e-5
    torch.testing.assert_close(anew, cached, rtol=0, atol=1e-6)
    torch.testing.assert_close(half, cached, rtol=0, atol=1e-4)
    assert not torch.equal(cached, trained.coefficients)


def test_the_cache_holds_the_bits_of_encoding_the_same_batches(store, tmp_path):
    model = fit(store, tmp_path).model
    with working_threads(1) as for_each:
        cache = build_cache(model, store, tmp_path / "cache", limit_gb=1, for_each=for_each)
        for number, scanned in enumerate(store.present.T):
            indices = np.flatnonzero(scanned)[:ENCODING_BATCH]
            again = model.encode(number, torch.from_numpy(store.images[number][indices])[:, None])
            np.testing.assert_array_equal(cache.arrays[number][indices], again)


def test_a_gpus_code_path_computes_the_same(store, tmp_path, monkeypatch):
    """Slices and embeddings resident on the device, indexed there; the device here is the CPU."""
    expected = fit(store, tmp_path).model.tensors()
    monkeypatch.setattr("mispel.batches.on_gpu", lambda device: True)
    monkeypatch.setattr("mispel.embedding_cache.on_gpu", lambda device: True)
    found = fit(store, tmp_path).model.tensors()
    assert same(expected, found)
