"""One run at a time in a run's folder, whatever became of the one before.

The operating system's lock on an open file ends with its process, however that ends. Snakemake's own is a
file that a killed run leaves behind, so that the next one asks to be unlocked.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path

from core.errors import InputError

NAME = ".at-work"
JOBS = ".jobs-at-work"
"""Which the jobs of a run share; a new run waits until nobody has it, since a killed run's jobs end within seconds."""

LONGEST_END_S = 15.0
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def claim(folder: Path | str) -> int | None:
    """Claim a run's folder for this process until it ends.

    Returns the open file, None where the file system has no locks. Raises `InputError` naming the process
    that has claimed it, or where jobs of an earlier start, whose run was killed, don't end soon.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    opened = _lock(folder / NAME, alone=True)
    if opened is None:
        return None
    if opened < 0:
        holder = (folder / NAME).read_text(errors="replace")[:200].strip() or "another process"
        raise InputError(
            f"{folder}: a run is at work there ({holder}); wait for its end, or give this one another `run`"
        )
    os.ftruncate(opened, 0)
    os.write(opened, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    begun = time.monotonic()
    while (jobs := _lock(folder / JOBS, alone=True)) is not None and jobs < 0:
        if time.monotonic() - begun > LONGEST_END_S:
            os.close(opened)
            raise InputError(
                f"{folder}: jobs of an earlier start are at work there; wait for their end, or end them (on Slurm "
                "with scancel), then start again"
            )
        time.sleep(0.1)
    if jobs is not None:
        os.close(jobs)
    return opened


def join(folder: Path | str) -> int | None:
    """Let a run's folder be known as one that a job of the run works in, until this process and its children end.

    Returns the open file; None where the file system has no locks or the folder isn't there.
    """
    if not Path(folder).is_dir():
        return None
    opened = _lock(Path(folder) / JOBS, alone=False)
    return None if opened is None or opened < 0 else opened


def _lock(path: Path, *, alone: bool) -> int | None:
    """Lock a file, alone or with others: the open file, -1 where somebody holds it, None without locks."""
    try:
        import fcntl
    except ImportError:
        return None
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(opened, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(opened)
        if error.errno in NO_LOCKS:
            return None
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return -1
    return opened
