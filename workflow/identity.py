"""What identifies each job: the configuration and code that it is planned with, and which records are still true.

A rule gives what counts through `Identities.of`, which turns it into the rule's parameters: Snakemake plans a job
again where one of them changed. For all that Snakemake doesn't see (a file that is gone or another's, a run's folder
from elsewhere, a failure that was recorded) there are the jobs' own records, `core.jobs.made`: before a run those
that are no longer true are put aside, so that their jobs are planned for want of an output.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.jobs.made import (
    Making,
    digest,
    digest_of_records,
    put_aside,
    read_record,
    read_records,
    why_false,
    write_sealed,
)
from core.run_folder import RunFolder

Value = Any
Patterns = Sequence[str | Path] | Callable[[Any], Sequence[str | Path]]
"""With wildcards, or a function of wildcards that gives some."""

Parts = Mapping[str, Iterable[str]]


class Identities:
    """The identities of a run's jobs, filled by its rules.

    at : the run's folder.
    parts : by wildcard its values, of which the names of jobs are made.
    """

    def __init__(self, at: RunFolder, parts: Parts) -> None:
        self.at = at
        self._parts = {name: list(values) for name, values in parts.items()}
        self._counted: dict[str, Mapping[str, Value]] = {}
        self._files: dict[str, Patterns] = {}
        self._again: dict[str, str] = {}

    def of(
        self, job: str, *, files: Patterns = (), came_from: Patterns = (), lasting: bool = False, **counted: Value
    ) -> dict[str, Any]:
        """A rule's parameters: those that count, and what its command is to record.

        job : its name with wildcards, such as `segment/{arm}-{batch}`.
        files : what it makes, as patterns.
        came_from : the jobs whose files it reads, as patterns.
        lasting : whether the job leaves its files as they are where its record is still true.
        counted : values, or functions of wildcards.
        """
        self._counted[job] = counted
        self._files[job] = files

        def made(wildcards: Any) -> str:
            given = dict(wildcards.items())
            return Making(
                run=self.at.root,
                record=self.at.made(job.format(**given)).relative_to(self.at.root),
                identity=self._identity(job, wildcards),
                files=self._made_by(job, wildcards),
                came_from=patterns_of(came_from, wildcards),
                lasting=lasting,
            ).as_option()

        def again(wildcards: Any) -> str:
            return self._again.get(job.format(**dict(wildcards.items())), "")

        return {**counted, "again": again, "made": made}

    @property
    def planned(self) -> dict[str, str]:
        """By job's name its identity, of every job of the run."""
        return {name: self._identity(job, wildcards) for name, job, wildcards in self._jobs()}

    def undone(self) -> list[str]:
        """What the jobs without a true record make, as patterns below the run's folder: what they will clear away."""
        undone = ((job, wildcards) for name, job, wildcards in self._jobs() if not self.at.made(name).exists())
        return [pattern for job, wildcards in undone for pattern in self._made_by(job, wildcards)]

    def records(self, wildcards: Any) -> list[Path]:
        """The records of all jobs, as a rule's input: known when all rules are read."""
        return [self.at.made(name) for name in self.planned]

    def find_false(self, *, keep: bool) -> dict[str, str]:
        """The jobs whose records are no longer true, and why; their records are put aside.

        With `keep`, as for a dry run, all stays where it is, and the jobs are planned by their parameter `again`.
        """
        planned = self.planned

        @cache
        def digest_from(pattern: str) -> str:
            found = read_records(self.at.root, [pattern])
            return digest_of_records({name: record for name, record in found.items() if name in planned})

        false = {}
        for name, identity in planned.items():
            path = self.at.made(name)
            aside = put_aside(path)
            there = path if path.exists() else aside
            if not there.exists():
                continue
            record = read_record(there)
            why = why_false(record, self.at.root, identity, digest_from)
            if record and record["failed"]:
                why = "it failed"
            if why is not None:
                false[name] = why
            if not keep:
                there.replace(path if why is None else aside)
        if keep:
            self._again = false
        return false

    def write_plan(self) -> None:
        """Write what each job is planned with, for `python -m evaluation check`."""
        write_sealed(self.at.planned, self.planned)

    def _jobs(self) -> Iterator[tuple[str, str, Any]]:
        """Every job of the run: its name, its rule's name with wildcards, and those."""
        for job in self._counted:
            fields = [field for _, field, _, _ in string.Formatter().parse(job) if field]
            for values in itertools.product(*(self._parts[field] for field in fields)):
                given = dict(zip(fields, values, strict=True))
                yield job.format(**given), job, _Wildcards(**given)

    def _made_by(self, job: str, wildcards: Any) -> list[str]:
        """What a job makes, as patterns below the run's folder."""
        patterns = patterns_of(self._files[job], wildcards)
        return [Path(pattern).relative_to(self.at.root).as_posix() for pattern in patterns]

    def _identity(self, job: str, wildcards: Any) -> str:
        counted = self._counted[job]
        return digest({name: value(wildcards) if callable(value) else value for name, value in counted.items()})


def patterns_of(patterns: Patterns, wildcards: Any) -> list[str]:
    """Patterns with a job's wildcards filled in."""
    if callable(patterns):
        return [str(pattern) for pattern in patterns(wildcards)]
    return [str(pattern).format(**dict(wildcards.items())) for pattern in patterns]


class _Wildcards(SimpleNamespace):
    """A job's wildcards, as Snakemake gives them to functions."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""
        return vars(self).items()
