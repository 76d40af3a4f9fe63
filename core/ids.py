"""Ids of subjects, scanners and sessions, which become parts of file names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.errors import InputError
from core.tables import is_missing, shown

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}")


def check_id(value: str, where: str) -> str:
    """Refuse an id that could not be part of a file's name (slashes, shell characters, over 64 long)."""
    if is_missing(value):
        raise InputError(f"{where}: {shown(value)} stands for nothing and cannot be an id; give one")
    if not SAFE_ID.fullmatch(value) or value != value.strip():
        raise InputError(
            f"{where}: {shown(value)} cannot be an id; use up to 64 letters, digits, '.', '_', '+', '-' "
            "or inner spaces, beginning with a letter or digit"
        )
    return value


def check_told_apart(ids: Iterable[tuple[str, str]]) -> None:
    """Refuse ids, given with where each stands, that differ in case alone: on many disks their files are one."""
    first: dict[str, str] = {}
    for where, value in ids:
        other = first.setdefault(value.casefold(), value)
        if other != value:
            raise InputError(f"{where}: '{value}' and '{other}' differ in case alone; write one of them, or rename it")
