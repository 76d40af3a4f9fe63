"""Slurm's own commands, asked."""

from __future__ import annotations

import subprocess

ANSWER_S = 10
"""For one of Slurm's commands."""


def ask(*words: str) -> tuple[int | None, str]:
    """The exit status of one of Slurm's commands and what it printed; None where it is missing or too slow."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return None, ""
    return done.returncode, done.stdout.strip()
