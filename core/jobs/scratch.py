"""The one place of a command's temporary files: a folder that ends with it, however that ends.

Libraries, programs and our own code ask the system where such files may lie, and are told this folder. It lies where
the system has them, on a cluster on the node's own disk. A killed command's keeper removes it; where that was killed
too, the next command of the same user does, which finds it unlocked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "mispel-benchmark-"
VARIABLES = ("TMPDIR", "TMP", "TEMP", "TEMPDIR")
LOCK = ".in-use"
BEGUN = ".begun-"
"""Before the name of a folder that isn't locked yet."""

LONGEST_BEGINNING_S = 60.0


@contextlib.contextmanager
def scratch_folder() -> Iterator[None]:
    """Have temporary files lie in a folder of this process's own until the block ends; remove those left by others.

    Without locks (Windows) they lie where they always do.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    place = Path(tempfile.gettempdir())
    begun = Path(tempfile.mkdtemp(prefix=f"{BEGUN}{PREFIX}", dir=place))
    lock = os.open(begun / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    earlier, earlier_place = {name: os.environ.get(name) for name in VARIABLES}, tempfile.tempdir
    folder = begun.with_name(begun.name.removeprefix(BEGUN))
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        begun.rename(folder)
        remove_left(place)
        os.environ.update(dict.fromkeys(VARIABLES, str(folder)))
        tempfile.tempdir = str(folder)
        yield
    finally:
        for name, value in earlier.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        tempfile.tempdir = earlier_place
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_left(place: Path) -> None:
    """Remove the folders of this user's commands that are no more."""
    import fcntl

    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
    for folder in place.glob(f"{BEGUN}{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid() and time.time() - folder.stat().st_mtime > LONGEST_BEGINNING_S:
                shutil.rmtree(folder, ignore_errors=True)
