"""One run at a time in a run's folder, whatever became of the one before.

The operating system's lock on an open file ends with its process, however that ends. Snakemake's own is a
file that a killed run leaves behind, so that the next one asks to be unlocked.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from core.errors import InputError

NAME = ".at-work"
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def check_writable(folder: Path | str) -> None:
    """Refuse a folder that cannot be written, or made; raises `InputError`."""
    there = Path(folder).absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise InputError(f"{there}: not a folder, so {folder} cannot be written; move it away")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: cannot be written (read-only, or another's), so {folder} can't; change that first")


def claim(folder: Path | str) -> int | None:
    """Claim a run's folder for this process until it ends.

    Returns the open file, None where the file system has no locks. Raises `InputError` naming the process
    that has claimed it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            os.close(opened)
            return None
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        holder = os.read(opened, 200).decode(errors="replace").strip() or "another process"
        os.close(opened)
        raise InputError(
            f"{folder}: a run is at work there ({holder}); wait for its end, or give this one another `run`"
        ) from None
    os.ftruncate(opened, 0)
    os.write(opened, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return opened
