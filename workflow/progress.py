"""A line a finished job in the terminal: which step of which arm it was, how long it took, and about how long is left.

Snakemake's own lines name a job by its number and count jobs, of which one may take a second and the next an hour. What
is left is told from what jobs of the same rule took so far, and how many of them ran at once.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from workflow.last_words import failure

TOTAL = "total"
TARGET = "all"
"""The rule that makes nothing, which Snakemake counts as a job."""


@dataclass(frozen=True)
class Started:
    """A job that began: its rule, what it is called, and when."""

    rule: str
    name: str
    at: float


class Progress(logging.Handler):
    """Listens to what Snakemake's log says of jobs, and writes a line about each that is finished."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.stream, self.clock = stream, clock
        self.begin = clock()
        self.due: Counter[str] = Counter()
        self.running: dict[int, Started] = {}
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.failed: list[str] = []
        """A line about each job that failed."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one record of Snakemake's log."""
        event = getattr(record, "event", None)
        kind = getattr(event, "value", event)
        if kind == "run_info":
            self.due = Counter({rule: count for rule, count in vars(record)["stats"].items() if rule != TOTAL})
            self.due.pop(TARGET, None)
        elif kind == "job_info":
            told = vars(record)
            name = " ".join([told["rule_name"], *map(str, told["wildcards"].values())])
            self.running[told["jobid"]] = Started(told["rule_name"], name, self.clock())
        elif kind == "job_finished":
            started = self.running.pop(vars(record)["job_id"], None)
            if started is not None and started.rule != TARGET:
                self._finished(started)
        elif kind == "job_error":
            told = vars(record)
            # jobs that were submitted together fail together
            for job in told.get("job_error_info") or [told]:
                self._failed(job["rule_name"], job["log"])

    def _failed(self, rule: str, logs: Sequence[str]) -> None:
        line = failure(rule, logs)
        # a cluster's job may be told of twice
        if line not in self.failed:
            self.failed.append(line)
            print(f"failed: {line}", file=self.stream, flush=True)

    def _finished(self, job: Started) -> None:
        seconds = self.clock() - job.at
        self.taken[job.rule].append(seconds)
        done = sum(map(len, self.taken.values()))
        total = max(self.due.total(), done)
        left = self._left()
        rest = f"; about {in_words(left)} left" if left is not None and done < total else ""
        print(f"{done} of {total}: {job.name}, {in_words(seconds)}{rest}", file=self.stream, flush=True)

    def _left(self) -> float | None:
        """Seconds until all is done, were every job to take its rule's mean; None while no job has taken any."""
        elapsed = self.clock() - self.begin
        spent = sum(map(sum, self.taken.values()))
        if not spent or not elapsed:
            return None
        return _expected(self.due, self.taken) / max(spent / elapsed, 1)


def _expected(due: Mapping[str, int], taken: Mapping[str, list[float]]) -> float:
    """Seconds of all jobs that are due yet; one of a rule of which none is finished takes as long as any."""
    of_all = [seconds for of_rule in taken.values() for seconds in of_rule]
    usual = sum(of_all) / len(of_all)
    total = 0.0
    for rule, count in due.items():
        of_rule = taken.get(rule, [])
        mean = sum(of_rule) / len(of_rule) if of_rule else usual
        total += mean * max(count - len(of_rule), 0)
    return total


def in_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} hours"


class WithoutJobs(logging.Filter):
    """Leaves out Snakemake's own lines about jobs, in whose place those of `Progress` stand, but not of one's failure.

    commands: keep what is said of a job as it begins, since its command line is asked for (`--printshellcmds`).
    """

    def __init__(self, *, commands: bool = False) -> None:
        super().__init__()
        self.left_out = ("job_started", "job_finished", "progress", *([] if commands else ["job_info"]))

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        event = getattr(record, "event", None)
        return getattr(event, "value", event) not in self.left_out and record.msg != "Select jobs to execute..."


def tell_progress(*, commands: bool = False) -> Progress:
    """Begin to tell, in the terminal, of this run's jobs, whatever `--quiet` leaves out; Snakemake's log stays.

    commands: show the jobs' command lines too.
    """
    from snakemake.logging import logger

    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(WithoutJobs(commands=commands))
    progress = Progress(sys.stderr)
    logger.addHandler(progress)
    return progress
