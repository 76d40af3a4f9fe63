"""What was run: configuration, versions, git state, a checksum of every input, and on which machine at what cost."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pandas as pd

from core.errors import InputError
from core.files import checksum, read_json
from core.jobs.cost import read_cost
from core.names import ARM_STEPS
from core.run_folder import RunFolder
from core.study import Study

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "antspyx",
    "nibabel",
    "nilearn",
    "numba",
    "numpy",
    "pandas",
    "picsl-greedy",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "snakemake",
    "statsmodels",
    "torch",
)


class _Primary(TypedDict):
    measure: str


class _Evaluation(TypedDict, total=False):
    primary: _Primary


class _Config(TypedDict, total=False):
    study: dict[str, Any]
    methods: dict[str, Any]
    evaluation: _Evaluation


class _Provenance(TypedDict, total=False):
    """What whoever reads a provenance takes for granted of its parts, where they are there."""

    config: _Config
    inputs: dict[str, str]
    machine: dict[str, Any]
    versions: dict[str, str]
    git: dict[str, Any]
    project_version: str


def read_provenance(run: Path, *needed: str) -> dict[str, Any]:
    """What `RUN/provenance.json` says, which must have the fields `needed`, such as `machine.date`.

    Raises `InputError` where there is none, or what another version or somebody else wrote.
    """
    path = RunFolder(run).provenance
    told: dict[str, Any] = read_json(path)
    try:
        msgspec.convert(told, _Provenance)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not what a run writes ({error}); start the run again to have it made anew") from None
    for name in needed:
        inner: Any = told
        for part in name.split("."):
            if not isinstance(inner, dict) or part not in inner:
                raise InputError(
                    f"{path}: no '{name}', so another version wrote it; start the run again to have it made anew"
                )
            inner = inner[part]
    return told


def describe(study: Study, sheet: Path, config: dict[str, Any]) -> dict[str, Any]:
    """All that someone needs to run it again, with the machine's part apart under `machine`."""
    inputs = {sheet.name: checksum(sheet)}
    inputs |= source_inputs(sheet.parent)
    for scan in study.scans:
        for path in (scan.image, scan.mask):
            inputs[os.path.relpath(path, sheet.parent)] = checksum(path)
    return {
        "config": config,
        "seed": config["seed"],
        "versions": installed_versions(),
        "project_version": version("mispel-benchmark"),
        "git": git_state(),
        "inputs": inputs,
        "machine": machine() | command(sheet.parent) | {"steps": step_costs(sheet.parent).to_dict("records")},
    }


def installed_versions() -> dict[str, str]:
    """The versions of `LIBRARIES`, of those that are installed."""
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def source_inputs(run: Path) -> dict[str, str]:
    """The checksums of the user's own files that the run's scans were made from, as they were when it read them."""
    told = RunFolder(run).study.inputs
    return read_json(told) if told.is_file() else {}


def command(run: Path) -> dict[str, str]:
    """The command line that Snakemake was last started with; nothing for a run that was made by hand."""
    told = RunFolder(run).command
    return {"command": told.read_text(encoding="utf-8").strip()} if told.is_file() else {}


def step_costs(run: Path) -> pd.DataFrame:
    """Time and memory of every step, from the logs that its jobs left in a run's folder.

    A row a step and, for steps of an arm, arm: step, arm, jobs, seconds (the jobs' wall times together),
    cpu_s, peak_mb (the most that one process held).
    """
    grouped = job_costs(run).groupby(["step", "arm"], as_index=False, sort=False)
    return grouped.agg(
        jobs=("step", "size"), seconds=("seconds", "sum"), cpu_s=("cpu_s", "sum"), peak_mb=("peak_mb", "max")
    ).round(2)


def job_costs(run: Path) -> pd.DataFrame:
    """Time and memory of every job: step, arm (empty for steps of no arm), part, seconds, cpu_s, peak_mb."""
    rows = []
    for path in sorted(RunFolder(run).logs.rglob("*.log")):
        cost = read_cost(path.read_text(encoding="utf-8", errors="replace"))
        if cost is not None:
            step, *part = path.relative_to(RunFolder(run).logs).with_suffix("").parts
            arm = part[0].partition("-")[0] if step in ARM_STEPS else ""
            rows.append({"step": step, "arm": arm, "part": "/".join(part)} | cost)
    return pd.DataFrame(rows, columns=["step", "arm", "part", "seconds", "cpu_s", "peak_mb"])


def git_state() -> dict[str, Any]:
    """The commit that ran and whether files differed from it; nulls outside a git checkout."""

    def git(*words: str) -> str | None:
        try:
            return subprocess.run(
                ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    changes = git("status", "--porcelain")
    return {"commit": git("rev-parse", "HEAD"), "changed_files": None if changes is None else bool(changes)}


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system of this machine, and its date (UTC)."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
    }
