"""Work in a child process, so that its end is known whatever it was: a hang, or a kill for memory too.

Between the parent and the worker stands a keeper, a process that does nothing but wait. It outlives a kill of either,
and ends the worker with all that the worker started: its process group, and whoever left the group (setsid), since
Linux gives a keeper the orphans among its descendants. Elsewhere those are found only while their parents live.

The standard library's process pools report a killed worker as broken without its signal or memory, and
start a fresh interpreter or share one's threads; a fork before any heavy import costs nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from core.jobs.log_limit import ShortLog
from core.jobs.run_process import watch_run
from core.jobs.scratch import scratch_folder

LONGEST_WAIT_S = 1.0
LONGEST_END_S = 10.0
"""Until what was killed is gone; a process that waits for a broken disk can't be killed at all."""

OUT_OF_MEMORY = "systems do so when memory runs out: give it more (mem_mb), or run fewer jobs at once"
"""What is said of a process that was killed by SIGKILL."""

_BLOCK = 1 << 16
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36
"""Of Linux's prctl: the signal that the parent's end sends; taking in orphaned descendants."""


class Ended(Exception):
    """The child was killed, ran out of time or left without a word; `peak_mb` is the memory it had taken."""

    def __init__(self, reason: str, peak_mb: float) -> None:
        super().__init__(reason)
        self.peak_mb = peak_mb


def in_child(
    work: Callable[[], dict[str, Any]], *, seconds: float | None = None, as_job: bool = False
) -> dict[str, Any]:
    """Do `work` in a child process and return its answer, a small mapping that JSON can hold.

    The child and all that it started end when it has answered, when `seconds` are over, when this process
    ends, however that happens, and when the run that started this process ends; their temporary files with them.
    `as_job` says that this process is there for nothing else: what is printed goes through
    `core.jobs.log_limit.ShortLog` to standard error, and all of this process's descendants end with the work.
    Raises `Ended` where there is no answer. Without `os.fork` the work is done here.
    """
    if not hasattr(os, "fork"):
        return work()
    sys.stdout.flush()
    sys.stderr.flush()
    if as_job:
        _prctl(_SET_CHILD_SUBREAPER, 1)
    answer, to_answer = os.pipe()
    life, of_parent = os.pipe()
    limit = math.inf if seconds is None else seconds
    begun = time.monotonic()
    keeper = os.fork()
    if keeper == 0:
        os.close(answer)
        os.close(of_parent)
        _be_keeper(work, to_answer, life, begun + limit, as_job)
    os.close(to_answer)
    os.close(life)
    told, run_is_gone = b"", watch_run()
    try:
        while block := _read_or_leave(answer, run_is_gone):
            told += block
    finally:
        # the keeper sees the end of this pipe, and ends what is left
        os.close(of_parent)
        os.close(answer)
        os.waitpid(keeper, 0)
    worker, _, rest = told.partition(b"\n")
    if not rest:
        # the keeper itself was killed, which on Linux has killed the worker, and left what that started
        if worker:
            _kill_group(int(worker))
        if as_job:
            _end_descendants(_reap_any)
        raise Ended("what watches over it was killed; start again to go on", 0)
    ended = json.loads(rest)
    status, peak_mb, content = ended["status"], ended["peak_mb"], ended["content"]
    if status is None:
        raise Ended(f"it took longer than {limit / 60:g} minutes (minutes_per_step) and was ended", peak_mb)
    if content and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        answered: dict[str, Any] = json.loads(content)
        return answered
    raise Ended(_how(status, time.monotonic() - begun, peak_mb), peak_mb)


def _read_or_leave(answer: int, run_is_gone: Callable[[], bool]) -> bytes:
    """What the keeper says next, b"" at its end; leaves this process when the run that started it is gone."""
    while not select.select([answer], [], [], LONGEST_WAIT_S)[0]:
        if run_is_gone():
            sys.exit("error: the run that started this step is gone; start it again to go on")
    return os.read(answer, _BLOCK)


def _be_keeper(
    work: Callable[[], dict[str, Any]], to_answer: int, life: int, deadline: float, as_job: bool
) -> NoReturn:
    """Keep the worker, with a folder for its temporary files, and tell how it ended."""
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        _prctl(_SET_CHILD_SUBREAPER, 1)
        with scratch_folder():
            ended = _keep(work, to_answer, life, deadline, as_job)
        # whoever was to read it may be gone
        with contextlib.suppress(BrokenPipeError):
            os.write(to_answer, json.dumps(ended).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        # no clean-up of what was inherited: that is the parent's
        os._exit(0)


def _keep(
    work: Callable[[], dict[str, Any]], to_answer: int, life: int, deadline: float, as_job: bool
) -> dict[str, Any]:
    """Start the worker, wait for its end, its time's or the parent's, and end all that is left; how it ended."""
    content, to_content = os.pipe()
    printed, to_printed = os.pipe() if as_job else (-1, -1)
    worker = os.fork()
    if worker == 0:
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if as_job:
            os.dup2(to_printed, 1)
            os.dup2(to_printed, 2)
        for end in (to_answer, life, content, printed, to_printed):
            if end >= 0:
                os.close(end)
        _be_worker(work, to_content)
    os.write(to_answer, f"{worker}\n".encode())
    os.close(to_content)
    watch = _Watch(worker, life, content, deadline)
    if as_job:
        os.close(to_printed)
        watch.printed, watch.log = printed, ShortLog(2)
    status = watch.until_end()
    _end_all(watch)
    watch.drain()
    return {"status": status, "peak_mb": watch.peak_mb, "content": bytes(watch.answer).decode()}


def _be_worker(work: Callable[[], dict[str, Any]], to_answer: int) -> NoReturn:
    code = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        os.write(to_answer, json.dumps(work()).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


@dataclass
class _Watch:
    """A keeper's look at its worker: `life` ends with the parent, `content` brings the answer, `printed` the log."""

    worker: int
    life: int
    content: int
    deadline: float
    printed: int = -1
    log: ShortLog | None = None
    answer: bytearray = field(default_factory=bytearray)
    status: int | None = None
    peak_mb: float = 0.0

    def until_end(self) -> int | None:
        """How the worker ended; None where its time, or the parent, ended first."""
        wake, to_wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(to_wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(to_wake, warn_on_full_buffer=False)
        while self.reap() and self.status is None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                return None
            ready = select.select([wake, *self._open()], [], [], min(left, LONGEST_WAIT_S))[0]
            if wake in ready:
                os.read(wake, _BLOCK)
            if self.life in ready:
                return None
            self._take(ready)
        return self.status

    def drain(self) -> None:
        """Take what still stands in the pipes; nobody is left who writes."""
        while ready := select.select([end for end in self._open() if end != self.life], [], [], 0)[0]:
            self._take(ready)
        if self.log is not None:
            self.log.finish()

    def reap(self) -> bool:
        """Take note of the children that have ended; whether any is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.worker:
                self.status = status
                self.peak_mb = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)

    def _open(self) -> list[int]:
        return [end for end in (self.life, self.content, self.printed) if end >= 0]

    def _take(self, ready: list[int]) -> None:
        if self.content in ready:
            block = os.read(self.content, _BLOCK)
            self.answer += block
            self.content = self.content if block else -1
        if self.printed in ready and self.log is not None:
            block = os.read(self.printed, _BLOCK)
            self.log.write(block)
            self.printed = self.printed if block else -1


def _end_all(watch: _Watch) -> None:
    """Kill the worker's group, and every descendant of this process, until none is left."""
    escaped = [] if sys.platform == "linux" else _descendants()
    _kill_group(watch.worker)
    for process in escaped:
        _kill(process)
    _end_descendants(watch.reap)


def _end_descendants(reap: Callable[[], bool]) -> None:
    """Kill every descendant of this process until `reap`, which takes note of ended children, finds none left."""
    begun = time.monotonic()
    while reap() and time.monotonic() - begun < LONGEST_END_S:
        for process in _descendants():
            _kill(process)
        time.sleep(0.005)


def _reap_any() -> bool:
    """Take note of children that have ended; whether any is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _descendants() -> list[int]:
    # loaded here: nearly every worker leaves nobody behind
    import psutil

    return [process.pid for process in psutil.Process().children(recursive=True)]


def _kill_group(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    _kill(worker)


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    """Ask Linux for something; other systems haven't it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _how(status: int, seconds: float, peak_mb: float) -> str:
    if not os.WIFSIGNALED(status):
        return f"it left with exit code {os.WEXITSTATUS(status)} and without a word; see its log"
    name = signal.Signals(os.WTERMSIG(status)).name
    told = f"it was killed ({name}) after {seconds:.0f} s, holding {peak_mb:.0f} MB"
    if os.WTERMSIG(status) == signal.SIGKILL:
        told += f"; {OUT_OF_MEMORY}"
    return told
