"""What a command took: time, processor time and memory, as the last line of its log.

Our own, since Snakemake's benchmark files look at a job now and then, and miss what a process took after the
last look: of jobs of 24, 36 and 87 s they told 66, 43 and 88 % of the processor time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

ASKED = "BENCHMARK_COSTS"
"""The environment variable under which commands say what they took; the workflow sets it."""

MARK = "cost: "
"""What a line of a log begins with that tells what its command took."""
_BEGUN = time.monotonic()
_of_earlier: dict[str, float] = {}


def peak_mb() -> float:
    """The most memory that this process, or one of those it has waited for, has held, in MB."""
    # children count too: a method may do its work in other processes
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) / (1024 if sys.platform != "darwin" else 1024**2)


def say_cost() -> None:
    """Say on standard error what this command has taken, where that is asked for."""
    if os.environ.get(ASKED):
        print(MARK + json.dumps(_of_earlier or spent()), file=sys.stderr)


def spent() -> dict[str, float]:
    """What this command has taken until now: seconds, cpu_s and peak_mb."""
    found = {"seconds": time.monotonic() - _BEGUN, "cpu_s": sum(os.times()[:4]), "peak_mb": peak_mb()}
    return {name: round(value, 2) for name, value in found.items()}


def say_earlier(cost: dict[str, float]) -> None:
    """Let this command say what an earlier one took, whose work it found done."""
    _of_earlier.update(cost)


def read_cost(log: str) -> dict[str, float] | None:
    """What the command that wrote this log took: seconds, cpu_s and peak_mb; None where it doesn't say."""
    for line in reversed(log.splitlines()):
        if line.startswith(MARK):
            told: dict[str, float] = json.loads(line.removeprefix(MARK))
            return told
    return None
