"""MISPEL trained by several processes together: the same losses as by one, whatever each has of a batch."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from baselines.harness.fitting import check_processes
from baselines.harness.registry import method as any_method
from core.errors import InputError
from mispel.batches import Batches, shuffled_batches
from mispel.checkpoints import Checkpoints
from mispel.compute import working_threads
from mispel.graph_steps import first_step
from mispel.model import load_model
from mispel.parallel import ALONE, together
from mispel.parameters import Parameters
from mispel.passes import run_step
from mispel.slices import build_store
from mispel.training import untrained_model
from tests.support.mispel_data import make_study, write_study
from tests.support.paths import ROOT

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GIVEN = {"width": 4, "embeddings": 3, "learning_rate": 3e-3, "precision": "float32", "step1_epochs": 3}
SETTINGS = Parameters(**GIVEN).settings()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """21 slices, so that the last batch has one; a scan is missing, so that a rank's part may lack a scanner."""
    folder = tmp_path_factory.mktemp("store")
    scanners = ("GE", "Philips", "Trio")
    study = make_study(folder, scanners=scanners, missing=(("01", "Philips"),), shape=(16, 20, 16))
    return build_store(study, folder, outside="zero")


def trained(store, ranks, folder):
    """Step 1 as one of the ranks: its history and tensors."""
    model = untrained_model(store, SETTINGS, seed=1, device=CPU)
    batches = Batches(store, CPU, region="brain")
    with working_threads(1) as for_each:
        step = first_step(model, batches, SETTINGS, precision="float32", for_each=for_each, ranks=ranks)
        ended = run_step(step, seed=3, checkpoints=Checkpoints(folder, {}), settled=False)
    return ended.history, {name: tensor.numpy() for name, tensor in ended.tensors.items()}


def in_ranks(count, work, *arguments):
    """What `work` gives in each of so many processes, connected as torchrun connects its own."""
    context = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])

    def process(rank, end):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "TORCHELASTIC_RUN_ID": "tests"}
        os.environ.update(own, MASTER_ADDR="localhost", MASTER_PORT=port)
        torch.set_num_threads(1)
        with together(CPU) as ranks:
            end.send(work(*arguments[:1], ranks, *arguments[1:]))

    ends, processes = [], []
    for rank in range(count):
        mine, theirs = context.Pipe()
        processes.append(context.Process(target=process, args=(rank, theirs)))
        ends.append(mine)
        processes[-1].start()
        theirs.close()
    found = [end.recv() for end in ends]
    for ended in processes:
        ended.join()
    return found


@pytest.mark.parametrize("count", [2, 3])
def test_losses_are_those_of_one_process(store, tmp_path, count):
    """Gradients are added up in another order: float32's rounding, times what 18 updates make of it."""
    order = shuffled_batches(len(store), size=4, seed=3, step=1, epoch=1)
    parts = [store.present[indices[rank::count]] for indices in order for rank in range(count)]
    assert any(part.size == 0 for part in parts)
    assert any(part.size and not part[:, 1].any() for part in parts)
    history, _ = trained(store, ALONE, tmp_path / "alone")
    found = in_ranks(count, trained, store, tmp_path / "together")
    for rows, tensors in found:
        assert rows == found[0][0]
        assert all(np.array_equal(value, found[0][1][name]) for name, value in tensors.items())
        for row, expected in zip(rows, history, strict=True):
            for name in ("reconstruction", "coupling", "harmonization", "total"):
                assert row[name] == pytest.approx(expected[name], rel=1e-5)
    again = in_ranks(count, trained, store, tmp_path / "again")
    assert again[0][0] == found[0][0]
    assert all(np.array_equal(value, found[0][1][name]) for name, value in again[0][1].items())


def command(sheet: Path, folder: Path, ranks: int, *settings: str) -> list[str]:
    """A fit by so many processes."""
    given = [f"--param={setting}" for setting in (*(f"{name}={value}" for name, value in GIVEN.items()), *settings)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    paths = [f"--scans={sheet}", f"--model={folder / 'model'}", f"--checkpoint={folder / 'checkpoint'}"]
    paths += [f"--status={folder / 'status.json'}"]
    return [sys.executable, *torchrun, "-m", "mispel", "fit", "--preset=demo", *paths, "--device=cpu", *given]


def started(arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def losses_of(folder: Path) -> np.ndarray:
    """Of Step 1."""
    losses = pd.read_csv(folder / "model" / "losses.tsv", sep="\t").query("step == 1")
    return losses[["reconstruction", "total"]].to_numpy()


@pytest.mark.slow
def test_a_killed_rank_ends_all_and_one_process_goes_on(tmp_path):
    sheet = write_study(tmp_path / "study", scanners=("GE", "Trio"), shape=(16, 20, 16))
    folder, checkpoint = tmp_path / "fit", tmp_path / "fit" / "checkpoint"
    settings = "step1_epochs=20", "learning_rate=0.0001"
    killed = started(command(sheet, folder, 2, *settings))
    end = time.monotonic() + 600
    while not list(checkpoint.glob("step1-00003*")) and killed.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert list(checkpoint.glob("step1-00003*")), "it came to no third epoch"
    helpers = [child for child in psutil.Process(killed.pid).children() if child.environ().get("RANK") == "1"]
    helpers[0].send_signal(signal.SIGKILL)
    _, told = killed.communicate(timeout=300)
    assert killed.returncode != 0, told
    assert not (folder / "model").exists()
    reached = max(int(path.stem.removeprefix("step1-")) for path in checkpoint.glob("step1-*"))
    assert 3 <= reached < 20
    for where in (folder, tmp_path / "undisturbed"):
        alone = started(command(sheet, where, 1, *settings))
        _, told = alone.communicate(timeout=600)
        assert alone.returncode == 0, told
        assert (f"{20 - reached} passes" in told) == (where == folder)
    # what the first epochs' rounding becomes in 120 small updates
    np.testing.assert_allclose(losses_of(folder), losses_of(tmp_path / "undisturbed"), rtol=1e-3)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "tests")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="2 processes take a GPU each, and torch sees 1 here"), together(CUDA):
        pass


@pytest.mark.parametrize(
    ("method", "processes", "message"),
    [
        ("mispel", 0, "--processes is 0; give 1 or more"),
        ("raw", 2, "'raw' can't be fitted by 2 processes"),
        ("combat_volumes", 2, "'combat_volumes' can't be fitted by 2 processes"),
    ],
)
def test_a_number_of_processes_is_refused(method, processes, message):
    with pytest.raises(InputError, match=message):
        check_processes(any_method(method)(), processes)


def test_processes_within_processes_are_refused(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "tests")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="torchrun has started 4 already"):
        check_processes(any_method("mispel")(), 2)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["torchrun", "option"])
def test_only_the_first_rank_writes(by, tmp_path):
    sheet = write_study(tmp_path / "study", scanners=("GE", "Trio"), shape=(16, 20, 16))
    words = command(sheet, tmp_path / "fit", 2) if by == "torchrun" else command(sheet, tmp_path / "fit", 1)
    ended = started(words if by == "torchrun" else [*words, "--processes=2"])
    _, told = ended.communicate(timeout=600)
    assert ended.returncode == 0, told
    assert told.count("step 1: 3 passes") == 1
    assert json.loads((tmp_path / "fit" / "status.json").read_text())["status"] == "ok"
    assert sorted(path.name for path in (tmp_path / "fit").iterdir()) == ["model", "status.json"]
    assert load_model(tmp_path / "fit" / "model", CPU)[0].scanners == ("GE", "Trio")
