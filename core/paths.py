"""What a path leads to."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import InputError


def looked_in(path: Path) -> str:
    """After a path that isn't there: the folder that it counts from, where it is a relative one."""
    return "" if path.is_absolute() else f" in {Path.cwd()}"


def check_is_file(path: Path) -> None:
    """Refuse what is absent, and what isn't a regular file: reading a pipe or a device might never end."""
    try:
        there, regular = path.exists(), path.is_file()
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)[:200]!r}: not a usable path ({error})") from None
    if not there and path.is_symlink():
        raise InputError(f"{path}: a broken link; fetch its content with `git annex get` or `datalad get`")
    if not there:
        raise InputError(f"{path}: no such file{looked_in(path)}")
    if not regular:
        what = "a folder; name a file in it" if path.is_dir() else "not a regular file"
        raise InputError(f"{path}: {what}")


def check_writable(folder: Path | str) -> None:
    """Refuse a folder that cannot be written, or made; raises `InputError`."""
    there = Path(folder).absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise InputError(f"{there}: not a folder, so {folder} cannot be written; move it away")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: cannot be written (read-only, or another's), so {folder} can't; change that first")
