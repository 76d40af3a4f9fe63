"""Several processes that do one piece of work together: which of them this is, and how they are started and watched.

`torchrun` tells its processes who they are in the environment. Its launcher starts ours too (`in_ranks`), below the
command that records how a step ended: on its own torchrun ends all processes where one does, the one that would
record it among them.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.files import read_json, write_json
from core.jobs.child import OUT_OF_MEMORY
from core.jobs.command import in_words
from core.jobs.cost import peak_mb

WORK = "work.pickle"
OK = "ok"


def rank() -> int:
    """Its number among them; the first, 0, writes what the work makes. 0 of a process that is alone."""
    return int(os.environ["RANK"]) if ranks() > 1 else 0


def ranks() -> int:
    """How many they are; 1 where torchrun, or `in_ranks`, started none."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def in_ranks(work: Callable[[], dict[str, Any]], count: int) -> dict[str, Any]:
    """Do `work` in so many new processes of this machine, and return the first one's answer.

    `work` can be pickled; its answer is a mapping that JSON can hold, of which `status` says how it ended: ok where
    it has none. Where one ends otherwise all are ended, and the answer is that of the one that was the cause; a
    process that was killed, or left without an answer, has failed. Needs torch.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / WORK).write_bytes(pickle.dumps(work))
        # what `torchrun --standalone` gives, but for the name by which they find each other: a machine may not know
        # its own
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=str(uuid.uuid4()),
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
        )
        failures: Mapping[int, Any] = {}
        try:
            elastic_launch(config, sys.executable)("-m", __name__, name)
        except ChildFailedError as error:
            failures = error.failures
        answers: dict[int, dict[str, Any]] = {
            int(path.stem): read_json(path) for path in sorted(folder.glob("*.json"), key=_written)
        }
    ends = {number: answer.get("status", OK) for number, answer in answers.items()}
    chosen = at_fault({number: failure.exitcode for number, failure in failures.items()}, ends)
    if chosen not in answers:
        reason = f"process {chosen + 1} of {count} {_how(failures[chosen].exitcode)}"
        return {"status": "failed", "reason": reason, "peak_mb": peak_mb()}
    answer = answers[chosen]
    return answer | {"peak_mb": max(answer["peak_mb"], peak_mb())}


def at_fault(codes: Mapping[int, int], answered: Mapping[int, str]) -> int:
    """Which process made all end: the first, 0, where none of them failed.

    codes : by number the exit codes of those that didn't end well, the negative signal of one that was killed.
    answered : how those ended that gave an answer, in their order: where one fails, the others soon fail at talking
    to it. One whose work was done may still be ended by the launcher because another failed: it is no cause.
    """
    silent = [number for number in codes if number not in answered]
    # by SIGTERM the launcher ends whoever is left
    killed = [number for number in silent if codes[number] != -signal.SIGTERM]
    failed = [number for number, status in answered.items() if status != OK]
    return [*killed, *failed, *silent, 0][0]


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def _how(code: int) -> str:
    """How a process ended that gave no answer."""
    if code >= 0:
        return f"left with exit code {code} and without a word; see its log"
    told = f"was killed ({signal.Signals(-code).name})"
    return f"{told}; {OUT_OF_MEMORY}" if code == -signal.SIGKILL else told


def _be_rank(folder: Path) -> int:
    """Do the work that `in_ranks` left in a folder, and leave the answer there; the exit status."""
    warnings.formatwarning = in_words
    work = pickle.loads((folder / WORK).read_bytes())
    answer = work()
    write_json(folder / f"{rank()}.json", answer)
    return int(answer.get("status", OK) != OK)


if __name__ == "__main__":
    sys.exit(_be_rank(Path(sys.argv[1])))
