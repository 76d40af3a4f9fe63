"""Work in a child process, so that its end is known whatever it was: a hang, or a kill for memory too.

The standard library's process pools report a killed worker as broken without its signal or memory, and
start a fresh interpreter or share one's threads; a fork before any heavy import costs nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST_WAIT_S = 1.0


class Ended(Exception):
    """The child was killed, ran out of time or left without a word; `peak_mb` is the memory it had taken."""

    def __init__(self, reason: str, peak_mb: float) -> None:
        super().__init__(reason)
        self.peak_mb = peak_mb


def in_child(work: Callable[[], dict[str, Any]], *, seconds: float | None = None) -> dict[str, Any]:
    """Do `work` in a child process and return its answer, a small mapping that JSON can hold.

    The child and all that it started end when it has answered, when `seconds` are over, when this process
    ends, however that happens, and when the run that started this process ends. Raises `Ended` where there
    is no answer. Without `os.fork` the work is done here.
    """
    if not hasattr(os, "fork"):
        return work()
    sys.stdout.flush()
    sys.stderr.flush()
    answer, to_answer = os.pipe()
    life, of_parent = os.pipe()
    limit = math.inf if seconds is None else seconds
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(answer)
        os.close(of_parent)
        _be_child(work, to_answer, life)
    os.close(to_answer)
    os.close(life)
    try:
        status, peak_mb = _wait(child, answer, begun + limit)
        with open(answer, "rb", closefd=False) as stream:
            os.set_blocking(answer, False)
            content = stream.read() or b""
    finally:
        _kill(child)
        os.close(answer)
        os.close(of_parent)
    if status is None:
        raise Ended(f"it took longer than {limit / 60:g} minutes (minutes_per_step) and was ended", peak_mb)
    if content and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        answered: dict[str, Any] = json.loads(content)
        return answered
    raise Ended(_how(status, time.monotonic() - begun, peak_mb), peak_mb)


def _be_child(work: Callable[[], dict[str, Any]], to_answer: int, life: int) -> None:
    code = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()
        os.write(to_answer, json.dumps(work()).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        # no clean-up of what was inherited: that is the parent's
        os._exit(code)


def _end_with_parent(life: int) -> None:
    """Wait for the end of the parent, whose end of the pipe closes then, and end this process's group."""
    while os.read(life, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _wait(child: int, answer: int, deadline: float) -> tuple[int | None, float]:
    """How the child ended, None where time ran out first, and its greatest memory in MB."""
    status: int | None = None
    family = _family()
    while True:
        pid, ended, usage = os.wait4(child, os.WNOHANG)
        if pid:
            status = ended
            break
        if family != _family():
            _kill(child)
            os.wait4(child, 0)
            sys.exit("error: the run that started this step is gone; start it again to go on")
        left = min(LONGEST_WAIT_S, deadline - time.monotonic())
        if left <= 0:
            _kill(child)
            _, _, usage = os.wait4(child, 0)
            break
        if select.select([answer], [], [], left)[0]:
            # answered or gone; the kernel may need a moment to say so
            time.sleep(0.002)
    return status, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def _family() -> tuple[int, int | None]:
    """This process's parent and its parent: the shell and the run that started a step, while they live."""
    parent = os.getppid()
    try:
        return parent, int(Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError, ValueError):
        return parent, None


def _kill(child: int) -> None:
    """End what is left of the child's process group."""
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(child, signal.SIGKILL)


def _how(status: int, seconds: float, peak_mb: float) -> str:
    if not os.WIFSIGNALED(status):
        return f"it left with exit code {os.WEXITSTATUS(status)} and without a word; see its log"
    name = signal.Signals(os.WTERMSIG(status)).name
    told = f"it was killed ({name}) after {seconds:.0f} s, holding {peak_mb:.0f} MB"
    if os.WTERMSIG(status) == signal.SIGKILL:
        told += "; systems do so when memory runs out: give it more (mem_mb), or run fewer jobs at once"
    return told
