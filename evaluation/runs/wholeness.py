"""Whether a finished run is whole: every job's record true, and nothing beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from core.errors import InputError
from core.jobs.made import digest_of_records, read_record, read_records, read_sealed, why_false
from core.run_folder import RunFolder

RESULTS = (
    "study",
    "images",
    "segmentations",
    "models",
    "intensities",
    "parts",
    "status",
    "metrics",
    "statistics",
    "tables",
    "figures",
)
"""Folders of a run that hold what its jobs made and nothing else."""


def planned_jobs(run: Path) -> dict[str, str]:
    """By the name of each job of the run its identity, as it was planned last.

    Raises `InputError` for a folder without a plan, or with a broken one.
    """
    path = RunFolder(run).planned
    if not path.is_file():
        raise InputError(f"{path}: no such file, so nothing is known of what was made; start the run again")
    planned = read_sealed(path)
    if planned is None:
        raise InputError(f"{path}: isn't as it was written, so nothing is known of what was made; start the run again")
    return planned


def false_jobs(
    run: Path, planned: Mapping[str, str], *, steps_left_out: Collection[str] = (), thorough: bool = False
) -> dict[str, str]:
    """The jobs whose records aren't true, by name, and why.

    steps_left_out : steps whose jobs aren't looked at. thorough : by every file's checksum, not its size and time.
    """

    @cache
    def digest_from(pattern: str) -> str:
        found = read_records(run, [pattern])
        return digest_of_records({name: record for name, record in found.items() if name in planned})

    checked = (name for name in planned if name.partition("/")[0] not in steps_left_out)
    found = {
        name: why_false(read_record(RunFolder(run).made(name)), run, planned[name], digest_from, thorough=thorough)
        for name in checked
    }
    return {name: why for name, why in found.items() if why is not None}


def strangers(run: Path, planned: Iterable[str]) -> Iterator[Path]:
    """Files in the folders of results that no job of the run made, and records of others' jobs.

    A paper's figures are drawn by hand, and no strangers.
    """
    at, planned = RunFolder(run), list(planned)
    made = {name for job in planned for name in (read_record(at.made(job)) or {"files": ()})["files"]}
    known = {at.planned, at.complete, at.study.atlas, *map(at.made, planned), *(run / name for name in made)}
    for folder in (*RESULTS, at.made_folder.name):
        for path in sorted((run / folder).rglob("*")):
            hidden = path.suffix == ".was" or path.name.startswith(".") or path.parent == at.paper_figures
            if path.is_file() and path not in known and not hidden:
                yield path
