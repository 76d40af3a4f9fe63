"""Subjects of a source, prepared here or in several processes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from studies.commandline import progress
from studies.errors import InputError
from studies.sources import source


def prepare_subjects(
    name: str, options: Mapping[str, Any], subjects: Sequence[str], out: Path, *, jobs: int = 1
) -> list[Path]:
    """Prepare subjects of the source `name` into the folder `out`, `jobs` at once; their part sheets in order."""
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1")
    one = partial(prepare_subject, name, dict(options), out)
    if jobs == 1:
        return list(progress(map(one, subjects), what="subjects", total=len(subjects)))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(progress(pool.map(one, subjects), what="subjects", total=len(subjects)))


def prepare_subject(name: str, options: Mapping[str, Any], out: Path, subject: str) -> Path:
    """Prepare one subject of a source; its part sheet."""
    return source(name).prepare(options, subject, out)
