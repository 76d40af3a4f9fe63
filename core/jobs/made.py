"""What a step made, of what and by which configuration and code: one small record a job, in `RUN/made`.

Snakemake knows a job's files by their times, and keeps its parameters in a folder of its own. So it doesn't see
that a file beside its outputs is gone, that an older image took the place of another, or that a run's folder
comes from elsewhere, and where a job failed it may call the old results of others finished. A record holds

    identity    a digest of the configuration and code that the job was planned with
    from        by pattern of records, a digest of the files that these tell of: what it was made from
    files       by path below the run's folder, each file that it made: sha256, size, mtime_ns; of how a step ended
                (`core.jobs.record`) also told, a digest without the time it took, by which others go
    read        by path, absolute or from the run's folder, each file of the user's that it read, likewise
    failed      whether it recorded a failure
    digest      of all this: a record that was edited or broken is as good as none

A record that is true makes its job's results true; `why_false` says why one isn't.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.files import checksum, json_text, read_json, write_json
from core.jobs.cost import say_earlier, spent
from core.run_folder import RunFolder

OPTION = "--made"
NO_RECORD = "its record is missing or broken"
Entry = dict[str, Any]
_read: dict[Path, os.stat_result] = {}


@dataclass(frozen=True)
class Making:
    """What a job is to record: its record's path below `run`, and, as patterns below it, files and sources.

    files : of what it makes; a folder stands for all in it. What matches is removed before the job begins.
    came_from : the records of what it is made from.
    lasting : whether it leaves all as it is where what it made last is still true, however it came to be started.
    """

    run: Path
    record: Path
    identity: str
    files: Sequence[str]
    came_from: Sequence[str]
    lasting: bool = False

    @classmethod
    def of_option(cls, text: str) -> Making:
        """From the option's JSON; raises `InputError` for anything else."""
        try:
            given = json.loads(text)
            return cls(**given | {name: Path(given[name]) for name in ("run", "record")})
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{OPTION}: not what a rule says of its job ({error})") from None

    def as_option(self) -> str:
        """As JSON in one line."""
        return json.dumps(asdict(self), sort_keys=True, default=str)


def taken_out(words: Sequence[str]) -> tuple[list[str], Making | None]:
    """A command line without the option, and what that says; None where it isn't given."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(OPTION, dest="made", type=Making.of_option)
    given, others = parser.parse_known_args(list(words))
    return others, given.made


def reads(files: Iterable[Path | str]) -> None:
    """Say that this job reads these files of the user's, before it does; its record tells of them."""
    for path in map(Path, files):
        _read.setdefault(path, path.stat())


def recorded(job: Making | None, work: Callable[[], int]) -> int:
    """Do a job's work, whose exit status this returns, and write its record where the work succeeds.

    What an earlier start made is removed first. Raises `InputError` where a file of the user's changed while it
    was read. Without a job only the work is done.
    """
    if job is None:
        return work()
    made_from = {pattern: digest_of_records(read_records(job.run, [pattern])) for pattern in job.came_from}
    lasting = job.run / job.record.with_name(f".{job.record.name}")
    last = read_record(lasting) if job.lasting else None
    known = job.identity, lambda pattern: made_from.get(pattern, "")
    if last and not last["failed"] and not why_false(last, job.run, *known, thorough=True):
        print(f"{job.record.stem}: made before, and still true", file=sys.stderr)
        say_earlier(last.pop("cost", {}))
        write_sealed(job.run / job.record, last)
        return 0
    for path in list(_matching(job.run, job.files)):
        path.unlink()
    _read.clear()
    status = work()
    if status:
        return status
    files = {path.relative_to(job.run).as_posix(): _entry_of_made(path) for path in _matching(job.run, job.files)}
    content = {
        "identity": job.identity,
        "from": made_from,
        "files": files,
        "read": {_path_from(path, job.run): _entry_of_read(path, earlier) for path, earlier in _read.items()},
        "failed": any(_tells_of_failure(job.run / name) for name in files),
    }
    write_sealed(job.run / job.record, content)
    if job.lasting:
        write_sealed(lasting, content | {"cost": spent()})
    put_aside(job.run / job.record).unlink(missing_ok=True)
    return status


def put_aside(record: Path) -> Path:
    """Where a record is kept that was found false; where its files come back, it counts again."""
    return record.with_name(f"{record.name}.was")


def _matching(root: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """The files below `root` that the patterns mean, each once."""
    seen = set()
    for pattern in patterns:
        for path in root.glob(pattern):
            inside = path.rglob("*") if path.is_dir() else [path]
            for file in inside:
                if file.is_file() and file not in seen:
                    seen.add(file)
                    yield file


def _path_from(path: Path, folder: Path) -> str:
    """A path as it is where it is absolute, else from a folder, so that both can move together."""
    return str(path) if path.is_absolute() else os.path.relpath(path, folder)


def _entry(path: Path) -> Entry:
    stat = path.stat()
    return {"sha256": checksum(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _entry_of_made(path: Path) -> Entry:
    if not _is_ending(path):
        return _entry(path)
    ended = read_json(path)
    return _entry(path) | {"told": digest([ended["status"], ended["reason"]])}


def _entry_of_read(path: Path, earlier: os.stat_result) -> Entry:
    entry = _entry(path)
    if (earlier.st_size, earlier.st_mtime_ns) != (entry["size"], entry["mtime_ns"]):
        raise InputError(f"{path}: changed while it was read; start again when it is complete")
    return entry


def _is_ending(path: Path) -> bool:
    """Whether a file is the record of how a step ended (`core.jobs.record`)."""
    return path.suffix == ".json" and path.parent.parent.name == "status"


def _tells_of_failure(path: Path) -> bool:
    """Whether a file is the record of a step that failed."""
    return _is_ending(path) and read_json(path)["status"] == "failed"


def read_records(root: Path, patterns: Iterable[str]) -> dict[str, Any]:
    """The records below `root/made` that the patterns (without their ending) mean, by name; broken ones are None."""
    folder = RunFolder(root).made_folder
    found: dict[str, Any] = {}
    for pattern in patterns:
        for path in sorted(folder.glob(f"{pattern}.json")):
            name = path.relative_to(folder).with_suffix("").as_posix()
            found[name] = read_record(path)
    return found


def read_record(path: Path) -> dict[str, Any] | None:
    """A record; None where there is none, or it isn't as it was written."""
    content = read_sealed(path)
    known = {"identity", "from", "files", "read", "failed"}
    return content if content and content.keys() - {"cost"} == known else None


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with a digest of its own."""
    write_json(path, {**content, "digest": digest(content)})


def read_sealed(path: Path) -> dict[str, Any] | None:
    """What `write_sealed` wrote; None where there is no file, or it isn't byte for byte as it was written."""
    try:
        content = read_json(path)
        as_written = path.read_bytes() == json_text(content).encode()
        given = content.pop("digest", None)
    except (InputError, OSError, ValueError, AttributeError, TypeError):
        return None
    # before records had one, there was none
    return content if as_written and given in (None, digest(content)) else None


def digest_of_records(records: Mapping[str, dict[str, Any] | None]) -> str:
    """A digest of the files that records tell of, however they are divided among them."""
    files = {
        name: entry.get("told", entry["sha256"])
        for record in records.values()
        if record
        for name, entry in record["files"].items()
    }
    return digest(sorted(files.items()))


def digest(content: Any) -> str:
    """A short digest of what JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def why_false(
    record: dict[str, Any] | None,
    root: Path,
    identity: str,
    digest_from: Callable[[str], str],
    *,
    thorough: bool = False,
) -> str | None:
    """Why a record is no longer true, in a few words; None where it is.

    `identity` is what the job is planned with now, `digest_from` gives the digest of a pattern's records. A file
    counts as unchanged where size and time are, unless `thorough` asks for its checksum.
    """
    if record is None:
        return NO_RECORD
    if record["identity"] != identity:
        return "made by another configuration or code"
    for name, entry in (record["files"] | record["read"]).items():
        changed = why_changed(root / name, entry, thorough=thorough)
        if changed is not None:
            return f"{os.path.normpath(root / name)}: {changed}"
    for pattern, earlier in record["from"].items():
        if digest_from(pattern) != earlier:
            return f"made from others than what is there of {pattern}"
    return None


def why_changed(path: Path, entry: Entry, *, thorough: bool = False) -> str | None:
    """In which way a file is another than its entry tells; None where it is the same."""
    try:
        stat = path.stat()
    except OSError:
        return "gone"
    if stat.st_size != entry["size"]:
        return "its content changed"
    if not thorough and stat.st_mtime_ns == entry["mtime_ns"]:
        return None
    try:
        return None if checksum(path) == entry["sha256"] else "its content changed"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
