"""What an earlier run of other arms, people, scans or folds left in a run's folder: moved aside, and said.

Left where it is, it would be taken for a result of this run, by people and by whatever reads a whole folder.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from core.files import read_json
from core.jobs.made import read_record
from core.names import ARM_STEPS
from core.run_folder import RunFolder
from evaluation.runs.wholeness import strangers

BY_ARM = (
    "images/*",
    "segmentations/*",
    "models/*",
    "checkpoints/*",
    "parts/*",
    "status/*/",
    "intensities/*.json",
    "training/*",
    *(f"{folder}/{step}/*" for folder in ("logs", "benchmarks") for step in ARM_STEPS),
)
"""Where a run has folders and files of arms, named after them, with a batch after a hyphen."""

BY_PERSON = ("study/sub-*", "study/*/sub-*", "images/*/sub-*", "segmentations/*/sub-*")
"""Where a run has files and folders that begin with a person's name."""

OF_BATCHES = ("parts", "status")
"""Where files are that a division of the people into other batches makes worthless."""


def take_out(
    at: RunFolder,
    arms: Collection[str],
    subjects: Collection[str],
    planned: Collection[str],
    undone: Collection[str],
) -> None:
    """Move what isn't of these arms, people and jobs into `RUN/taken-out`, and say so; forget jobs not planned.

    planned : the names of the run's jobs. undone : what those without a true record will make, as patterns.
    """
    forget(at, planned)
    moved: dict[str, int] = {}
    for owner, path in (*of_other_arms(at, arms), *of_other_people(at, subjects), *of_no_job(at, planned, undone)):
        if not path.exists():
            continue  # in a folder that was moved
        aside = at.taken_out / path.relative_to(at.root)
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside)
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.replace(aside)
        moved[owner] = moved.get(owner, 0) + 1
    if moved:
        print(f"{at.root}: {', '.join(moved)}: no longer in the run; moved into {at.taken_out}", file=sys.stderr)


def of_other_arms(at: RunFolder, arms: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Files and folders of arms that aren't among these, each with whose it is."""
    for pattern in BY_ARM:
        for path in sorted(at.root.glob(pattern)):
            arm = path.stem.partition("-")[0]
            if arm not in arms and path != at.complete and not path.name.startswith("."):
                yield f"arm {arm}", path


def of_other_people(at: RunFolder, subjects: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Files and folders of people who aren't among these, each with whose it is."""
    known = tuple(f"sub-{subject}{after}" for subject in subjects for after in "._")
    for pattern in BY_PERSON:
        for path in sorted(at.root.glob(pattern)):
            if not path.name.startswith(known):
                yield f"person {path.name.removeprefix('sub-').partition('_')[0].partition('.')[0]}", path


def of_no_job(at: RunFolder, planned: Collection[str], undone: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Files among the results that no job of the run made or will clear away, each with the kind of folder it is in."""
    by_folder: dict[str, list[str]] = {}
    for pattern in map(PurePosixPath, undone):
        by_folder.setdefault(pattern.parent.as_posix(), []).append(pattern.name)
    for path in strangers(at.root, planned):
        relative = path.relative_to(at.root)
        place = [relative, *relative.parents]
        if not any(fnmatch(part.name, name) for part in place for name in by_folder.get(part.parent.as_posix(), ())):
            yield f"files in {'/'.join(relative.parent.parts[:2])}", path


def forget(at: RunFolder, planned: Collection[str]) -> None:
    """Remove the records of jobs that aren't planned, and what such made of a batch of people."""
    kept: set[str] = set()
    others = []
    for path in at.made_folder.rglob("*.json*"):
        stem = path.name.removesuffix(".was").removesuffix(".json").removeprefix(".")
        name = path.with_name(stem).relative_to(at.made_folder).as_posix()
        if path == at.planned:
            continue
        record = read_record(path)
        if name in planned:
            kept.update(record["files"] if record else ())
        else:
            others.append(path)
            at.log(*name.split("/")).unlink(missing_ok=True)
    for path in others:
        record = read_record(path)
        for file in record["files"] if record else ():
            if file not in kept and Path(file).parts[0] in OF_BATCHES:
                (at.root / file).unlink(missing_ok=True)
        path.unlink()


def forget_failures(learning: Path) -> None:
    """Remove the records of a learning curve's steps that failed, and its table, so that they are tried again."""
    records = [path for path in learning.glob("status/*/*/*.json") if read_json(path)["status"] == "failed"]
    for path in records:
        path.unlink()
    if records:
        (learning / "learning.tsv").unlink(missing_ok=True)
