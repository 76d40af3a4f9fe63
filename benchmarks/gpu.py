"""MISPEL on a GPU, everything in one command of at most nine minutes: how fast it is, and how fast it could be.

    python -m benchmarks.gpu --out FOLDER [--minutes 9]
    python -m benchmarks.gpu --device cpu --small --out FOLDER      every part, in small and without limits, anywhere

Needs torch, numpy, scipy, numba, pandas, safetensors, nibabel, isal and msgspec. Every part runs in a process of its
own with a time limit of its own, so that one that fails leaves the others; what is measured is printed as it comes:

1. what the card does at most (products, convolutions, copies), by events on the device;
2. Step 1 of the paper's size (4 slices x 4 scanners, width 32) in float32, operation by operation: the reference;
3. the same in each version of `mispel.graph_steps.VERSIONS`, 0 being operation by operation: milliseconds a step on
   two sizes of slices, memory, kernels a step, the share of the time in which one runs, whether two trainings of 50
   steps have equal bits, and how far the losses of 20 steps are from the reference's;
4. batches of 4 to 32 slices, and float32, TF32 and bfloat16;
5. the paper's job, 2570 slices x 4 scanners, two epochs of each step, and what 100 + 100 would take;
6. scans harmonized.

FOLDER/versions.tsv has a row a version, with its shares of the two floors: the time that the multiplications would
take at the rate of a large product, and that of moving every map as often as must be at the rate of a copy.
FOLDER/figures.tsv has everything, FOLDER/kernels-version*.txt the longest kernels of each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.gpu_parts import SMALL, Figures, Sizes
from core.files import write_table
from core.jobs.command import run
from mispel.compute import choose_device, on_gpu
from mispel.graph_steps import VERSIONS, in_training

MINUTES = 9
NEEDED = ("torch", "numpy", "scipy", "numba", "pandas", "safetensors", "nibabel", "isal", "msgspec")
REFERENCE = "reference: float32, operation by operation"
LIMITS = {"ceilings": 45, "version": 90, "job": 120, "second_step_exactly": 120, "harmonize": 45, "batch_sizes": 60}
"""Seconds of each part on a GPU."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all parts; returns the exit status, 1 where a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--small", action="store_true", help="small slices, few steps: to try it")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all parts, on a GPU (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    given = parser.parse_args(argv)
    device = choose_device(given.device)
    given.out.mkdir(parents=True, exist_ok=True)
    card = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU ({platform.machine()})"
    print(f"{card}; Python {platform.python_version()}, {', '.join(versions_of(NEEDED))}")
    if shutil.which("nvidia-smi") and device.type == "cuda":
        print(subprocess.run(["nvidia-smi"], capture_output=True, text=True).stdout)
    found: dict[str, Figures] = {}
    failed = []
    for name, figures in measured(device, given.out, small=given.small, minutes=given.minutes):
        print(f"\n{name}")
        for what, value in figures.items():
            if what != "losses":
                print(f"  {what:45} {value:.4g}" if isinstance(value, float) else f"  {what:45} {value}")
        sys.stdout.flush()
        found[name] = figures
        failed += [name] * ("failed" in figures)
    rows = [(card, name, what, value) for name, figures in found.items() for what, value in figures.items()]
    write_table(given.out / "figures.tsv", pd.DataFrame(rows, columns=["card", "part", "what", "value"]))
    table = versions_table(found, (SMALL if given.small else Sizes()).shapes)
    table.insert(0, "card", card)
    write_table(given.out / "versions.tsv", table)
    print(f"\n{table.to_string(index=False, float_format=lambda value: f'{value:.3g}')}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def versions_of(names: Sequence[str]) -> Iterator[str]:
    """The installed version of each distribution."""
    for name in names:
        try:
            yield f"{name} {installed(name)}"
        except PackageNotFoundError:
            yield f"{name} of no version"


def plans(device: torch.device) -> list[tuple[str, str, dict[str, Any]]]:
    """What is measured: (name, part, its options). First what training takes, last what takes longest to begin."""
    here = {number: version for number, version in VERSIONS.items() if on_gpu(device) or not version.own_kernels}
    taken = in_training(device)
    of_versions = {number: (f"version {number}", "version", {"number": number}) for number in here}
    others = [number for number, version in here.items() if version != taken]
    return [
        ("ceilings", "ceilings", {}),
        (REFERENCE, "version", {"number": 0, "precision": "float32", "tf32": False}),
        *[of_versions[number] for number, version in here.items() if version == taken],
        ("the paper's job", "job", {}),
        ("harmonizing", "harmonize", {}),
        ("batches", "batch_sizes", {}),
        ("version 0", "version", {"number": 0}),
        *[of_versions[number] for number in others if not here[number].compiled],
        ("Step 2 exactly", "second_step_exactly", {}),
        *[of_versions[number] for number in others if here[number].compiled],
    ]


def measured(device: torch.device, out: Path, *, small: bool, minutes: float) -> Iterator[tuple[str, Figures]]:
    """Each part's name and figures, in turn; "failed" says why where it has none."""
    end = time.monotonic() + 60 * minutes
    for name, part, options in plans(device):
        # a CPU is there to try it, and may be slow
        limit = max(0, min(LIMITS[part], end - time.monotonic())) if device.type == "cuda" else None
        command = [sys.executable, "-m", "benchmarks.gpu_parts", part, device.type, str(out), json.dumps(options)]
        if small:
            command.append("small")
        begin = time.monotonic()
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=limit, env={**os.environ, "PYTHONWARNINGS": "default"}
            )
        except subprocess.TimeoutExpired:
            yield name, {"failed": f"stopped after {time.monotonic() - begin:.0f} s"}
            continue
        told = ended.stderr.strip().splitlines()
        (out / f"{part}-{options.get('number', '')}.log").write_text(ended.stderr)
        if ended.returncode != 0:
            yield name, {"failed": told[-1] if told else f"exit status {ended.returncode}"}
            continue
        figures = json.loads(ended.stdout.splitlines()[-1])
        yield name, {**figures, "whole part [s]": time.monotonic() - begin}


def versions_table(found: dict[str, Figures], shapes: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """A row a version and size of slices: its time beside the floors, and what else tells them apart."""
    ceilings = found.get("ceilings", {})
    rate = ceilings.get("GEMM bfloat16 [T multiply-adds/s]", np.nan) * 1e12
    copied = ceilings.get("copy [GB/s]", np.nan) * 1e9
    wanted = np.array(found.get(REFERENCE, {}).get("losses", []))
    rows = []
    for name, figures in found.items():
        for height, width in shapes:
            size = f"{height} x {width}"
            if f"{size} [ms]" not in figures:
                continue
            taken, losses = figures[f"{size} [ms]"], np.array(figures["losses"])
            rows.append(
                {
                    "version": name,
                    "slices": size,
                    "ms": taken,
                    "share_of_multiplications": 1e3 * figures[f"{size} [multiply-adds]"] / rate / taken,
                    "share_of_bytes": 1e3 * figures[f"{size} [bytes]"] / copied / taken,
                    "kernels": figures.get("kernels a step", figures.get("operations a step")),
                    "busy": figures.get("busy share"),
                    "mb": figures[f"{size} [MB]"],
                    "repeats_bitwise": figures["repeats bitwise"],
                    "largest_difference_of_losses": np.abs(losses / wanted - 1).max() if wanted.size else np.nan,
                }
            )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    run(main)
