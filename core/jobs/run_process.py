"""The run that a command belongs to: whether its process is there, which folder is its own.

A run says in the environment of its jobs who it is. On a cluster that is the process of Snakemake that the job
started on its node, not the one that submitted it, whose end is no reason to end a job.
"""

from __future__ import annotations

import os
from pathlib import Path

OF_RUN = "BENCHMARK_RUN"
"""The environment variable: the run's process and its folder, a colon between."""

MOST_BETWEEN = 50
"""Processes between a command and its run: a shell, and the two that keep and do the work; more is a circle."""


def announce(folder: Path | str) -> None:
    """Let the commands that this process starts know that it is their run, and its folder."""
    os.environ[OF_RUN] = f"{os.getpid()}:{Path(folder).absolute()}"


def run_folder() -> Path | None:
    """The folder of the run that started this command; None by hand."""
    _, colon, folder = os.environ.get(OF_RUN, "").partition(":")
    return Path(folder) if colon else None


def run_is_gone() -> bool:
    """Whether the run that started this command has ended: its process is no ancestor of this one any more.

    An ancestor, since a process that was killed may stay for a while, or for ever where nobody asks how it ended,
    while its children get another parent at once.
    """
    run = os.environ.get(OF_RUN, "").partition(":")[0]
    if not run.isdecimal():
        return False
    process: int | None = os.getpid()
    for _ in range(MOST_BETWEEN):
        if process is None or process <= 1:
            return True
        if process == int(run):
            return False
        process = _parent(process)
    return False


def _parent(process: int) -> int | None:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        import psutil

        try:
            parent: int = psutil.Process(process).ppid()
        except psutil.Error:
            return None
        return parent
