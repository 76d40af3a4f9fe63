"""`python -m mispel` and its bench."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import gpu, gpu_parts
from core.images import save_image
from core.sheet import read_sheet
from mispel import bench
from mispel.network import new_encoder
from mispel.training import LOSS_COLUMNS
from tests.support.mispel_data import write_study

SETTINGS = ["width=4", "embeddings=3", "step1_epochs=3", "precision=float32", "learning_rate=0.01"]


def mispel(monkeypatch, *arguments: object) -> int:
    """Run `python -m mispel` in this process; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["mispel", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("mispel", run_name="__main__")
    return ended.value.code


@pytest.fixture(scope="module")
def sheet(tmp_path_factory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), subjects=2, shape=(20, 24, 16))


@pytest.mark.parametrize("verb", ["fit", "harmonize"])
def test_the_help_has_no_options_that_only_a_run_gives(verb, monkeypatch, capsys):
    assert mispel(monkeypatch, verb, "--help") == 0
    told = capsys.readouterr().out
    assert "--model" in told
    assert not {"--status", "--requires", "--on-failure", "--minutes", "--by-fold", "--arm "} & set(told.split())
    assert mispel(monkeypatch, verb, "--status", "x") == 2


def test_fit_then_harmonize_people_never_seen(sheet, tmp_path, monkeypatch, capsys):
    settings = [f"--param={setting}" for setting in SETTINGS]
    model = tmp_path / "model"
    assert mispel(monkeypatch, "fit", "--scans", sheet, "--model", model, "--preset", "demo", *settings) == 0
    told = capsys.readouterr().err
    assert "above the optimum" in told
    assert "step 1: 3 passes over 21 slices of 4 scanners" in told
    assert "step 1: 18 batches at" in told
    losses = pd.read_csv(model / "losses.tsv", sep="\t")
    assert list(losses.columns) == list(LOSS_COLUMNS)
    assert list(losses["epoch"][losses["step"] == 1]) == [1, 2, 3]

    new = write_study(tmp_path / "new", subjects=1, scanners=("Philips",), shape=(20, 24, 16), first_seed=30)
    assert mispel(monkeypatch, "harmonize", "--model", model, "--scans", new, "--out", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sub-30_scanner-Philips_T1w.nii.gz"]
    again = ("harmonize", "--model", model, "--scans", new, "--out", tmp_path / "out")
    capsys.readouterr()
    assert mispel(monkeypatch, *again) == 2
    assert "T1w.nii.gz: is there already (1 of the 1 files" in capsys.readouterr().err
    assert mispel(monkeypatch, *again, "--overwrite") == 0

    (scan,) = read_sheet(new).scans
    one = tmp_path / "one.nii.gz"
    words = ("harmonize", scan.image, "--mask", scan.mask, "--model", model, "--out", one)
    assert mispel(monkeypatch, *words) == 2
    assert "--scanner, one of GE, Philips, Prisma, Trio" in capsys.readouterr().err
    assert mispel(monkeypatch, *words, "--scanner", "Philips") == 0
    assert one.read_bytes() == next((tmp_path / "out").iterdir()).read_bytes()

    assert mispel(monkeypatch, *words, "--scanner", "Philips") == 2
    assert "one.nii.gz: is there already; name another file" in capsys.readouterr().err
    assert mispel(monkeypatch, *words, "--scanner", "Philips", "--overwrite") == 0
    thin = tmp_path / "thin.nii.gz"
    save_image(thin, scan.read()[1:], scan.affine)
    words = ("harmonize", thin, *words[2:], "--scanner", "Philips", "--overwrite")
    assert mispel(monkeypatch, *words) == 2
    told = capsys.readouterr().err
    assert "scans.tsv" not in told
    assert "resample it onto that grid" in told

    other = write_study(tmp_path / "other", subjects=1, scanners=("Elsewhere",), shape=(20, 24, 16))
    assert mispel(monkeypatch, "harmonize", "--model", model, "--scans", other, "--out", tmp_path / "out") == 2
    assert "GE, Philips, Prisma, Trio" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "told"),
    [("widht=4", "did you mean 'width'"), ("width=wide", "give a whole number"), ("lambda4=-1", "lambda4 is -1")],
)
def test_a_wrong_setting_is_named_before_anything_is_read(setting, told, tmp_path, monkeypatch, capsys):
    arguments = ["--scans", tmp_path / "none.tsv", "--model", tmp_path / "model", "--param", setting]
    assert mispel(monkeypatch, "fit", *arguments) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("task", sorted(bench.TASKS))
def test_each_measurement_runs(task, tmp_path):
    sizes = {
        "step1": {"steps": 1},
        "step2_epoch": {"slices": 4},
        "step2_solver": {"slices": 5},
        "growth": {"slices": 4},
    }
    variants = {"step1": ("plain", "bfloat16"), "step2_epoch": ("anew", "float16"), "step2_solver": ("adam", "exact")}
    for variant in variants.get(task, (None,)):
        options = {"slices": 4} if variant is None else {**sizes[task], "variant": variant}
        figures = bench.TASKS[task](tmp_path, height=16, width=24, **options)
        assert figures["cpu_s"] > 0


def test_the_bench_compares_with_a_groups_first_variant(monkeypatch, capsys, tmp_path):
    class Ended:
        returncode = 0

        def __init__(self, command, **_):
            seconds = 4.0 if '"plain"' in command[-1] else 1.0
            self.stdout = f'told\n{{"cpu_s": {seconds}, "wall_s": {seconds}, "peak_mb": 100.0, "gap": 0.5}}\n'

    monkeypatch.setattr(bench.subprocess, "run", Ended)
    assert mispel(monkeypatch, "bench", "--rounds", 2, "--small", "--out", tmp_path / "bench.tsv") == 0
    table = pd.read_csv(tmp_path / "bench.tsv", sep="\t")
    step1 = table[table["what"].str.startswith("Step 1")]
    assert list(step1["cpu_ratio"]) == [1.0] + [0.25] * (len(step1) - 1)
    assert all(task in bench.TASKS for _, _, task, _ in bench.plans(small=False))


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("ceilings", {}),
        ("version", {"number": 0, "precision": "float32", "tf32": False}),
        ("version", {"number": 3}),
        ("batch_sizes", {}),
        ("job", {}),
        ("harmonize", {}),
    ],
)
def test_each_part_of_the_gpu_benchmark_runs_on_the_cpu(part, options, tmp_path):
    """Where no GPU is at hand, at least its code is tried."""
    figures = gpu_parts.PARTS[part](gpu_parts.SMALL, torch.device("cpu"), tmp_path, **options)
    assert all(value > 0 for value in figures.values() if isinstance(value, float))
    assert figures.get("repeats bitwise", True)


def test_the_gpu_benchmark_goes_on_after_a_part_that_fails(tmp_path, monkeypatch, capsys):
    def ended(command, timeout, **_):
        part, _, _, options, _ = command[3:]
        number = json.loads(options).get("number")
        if number == 5:
            raise subprocess.TimeoutExpired(command, timeout)
        if part == "job":
            return subprocess.CompletedProcess(command, 1, "", "Traceback\nRuntimeError: out of memory")
        figures = {"GEMM bfloat16 [T multiply-adds/s]": 1.0, "copy [GB/s]": 1000.0}
        if part == "version":
            reference = json.loads(options).get("precision") == "float32"
            figures = {"losses": [2.0, 1.0 if reference else 1.1], "repeats bitwise": True}
            for size in ("16 x 20", "16 x 24"):
                counts = {f"{size} [multiply-adds]": 1e9, f"{size} [bytes]": 5e8}
                figures |= {f"{size} [ms]": 2.0, f"{size} [MB]": 10.0, **counts}
        return subprocess.CompletedProcess(command, 0, f"told\n{json.dumps(figures)}\n", "")

    monkeypatch.setattr(gpu.subprocess, "run", ended)
    assert gpu.main(["--device", "cpu", "--small", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "failed: the paper's job, version 5" in told.err
    assert "out of memory" in told.out
    table = pd.read_csv(tmp_path / "versions.tsv", sep="\t").set_index("version")
    assert set(table.index) == {gpu.REFERENCE, *(f"version {number}" for number in range(5))}
    row = table.loc["version 3"].iloc[0]
    assert (row["share_of_multiplications"], row["share_of_bytes"]) == (0.5, 0.25)
    assert row["largest_difference_of_losses"] == pytest.approx(0.1)


def test_multiplications_are_counted():
    """A 3x3 convolution of c to d channels multiplies 9 c d times a pixel, one that enlarges twofold 4 c d times."""
    encoder = new_encoder(width=4, embeddings=3, seed=0)
    fine, middle, coarse = 16 * 16, 8 * 8, 4 * 4
    pairs = {
        fine: [(1, 4), (4, 4), (8, 4), (4, 4), (4, 3)],
        middle: [(4, 8), (8, 8), (16, 8), (8, 8)],
        coarse: [(8, 16), (16, 16)],
    }
    expected = sum(9 * a * b * pixels for pixels, convolutions in pairs.items() for a, b in convolutions)
    expected += 4 * 8 * 4 * fine + 4 * 16 * 8 * middle
    # every map of 2 bytes is moved five times
    maps = fine * (4 + 4 + 4 + 4 + 4 + 3) + middle * (4 * 8 + 8) + coarse * 32
    assert gpu_parts.floors(encoder, (16, 16)) == (3 * expected, 5 * 2 * maps)
