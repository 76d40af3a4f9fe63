"""The run that a command belongs to: whether its process is there, which folder is its own.

A run says in the environment of its jobs who it is. On a cluster that is the process of Snakemake that the job
started on its node, not the one that submitted it, whose end is no reason to end a job.
"""

from __future__ import annotations

import os
from collections.abc import Callable
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


def watch_run() -> Callable[[], bool]:
    """A question to be asked again and again: whether the run that started this command has ended.

    It has when this process's parent is another than now, the shell that the run started; or when the run is no
    ancestor any more and no process at all. A process that was killed may stay for a while, or for ever where nobody
    asks how it ended, but its children get another parent at once. By hand there is no run that could end.
    """
    run = os.environ.get(OF_RUN, "").partition(":")[0]
    if not run.isdecimal():
        return lambda: False
    parent = os.getppid()
    return lambda: os.getppid() != parent or (not _is_ancestor(int(run)) and not _is_at_work(int(run)))


def _is_ancestor(run: int) -> bool:
    process = os.getpid()
    for _ in range(MOST_BETWEEN):
        process = _state(process)[0]
        if process <= 1:
            return False
        if process == run:
            return True
    return False


def _is_at_work(process: int) -> bool:
    return _state(process)[1] not in "ZX"


def _state(process: int) -> tuple[int, str]:
    """A process's parent and state, a letter as `ps` shows it; (0, "X") where there is no such process."""
    try:
        state, parent = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[:2]
        return int(parent), state
    except (OSError, IndexError, ValueError):
        if Path("/proc/self/stat").exists():
            return 0, "X"
    import psutil

    try:
        found = psutil.Process(process)
        return found.ppid(), "Z" if found.status() == psutil.STATUS_ZOMBIE else "S"
    except psutil.Error:
        return 0, "X"
