"""Subjects and scans of a source, prepared here or in several processes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.files import read_json
from core.jobs.command import progress
from core.jobs.record import run_step
from core.run_folder import StudyFolder
from studies.sources import PlannedScan, source


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


def take_steps(
    name: str, options: Mapping[str, Any], scans: Sequence[PlannedScan], out: Path, *, jobs: int = 1
) -> dict[PlannedScan, str]:
    """Take every scan through its source's steps into the folder `out`, `jobs` scans at once.

    What is there from an earlier start stays. Returns the scans whose steps failed, with the reason.
    """
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1")
    one = partial(steps_of_scan, name, dict(options), out)
    if jobs == 1:
        reasons = list(progress(map(one, scans), what="scans", total=len(scans)))
    else:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            reasons = list(progress(pool.map(one, scans), what="scans", total=len(scans)))
    return {scan: reason for scan, reason in zip(scans, reasons, strict=True) if reason}


def steps_of_scan(name: str, options: Mapping[str, Any], out: Path, scan: PlannedScan) -> str:
    """A scan's steps, those that are not done; why one failed, "" where all ended well."""
    earlier: list[Path] = []
    for step in source(name).steps:
        record = StudyFolder(out).record(scan.name, step.name)
        if not record.exists() or read_json(record)["status"] != "ok":
            do_step(name, step.name, options, scan, out, record, requires=earlier)
        earlier.append(record)
    return next((found["reason"] for found in map(read_json, earlier) if found["status"] != "ok"), "")


def do_step(
    name: str,
    step: str,
    options: Mapping[str, Any],
    scan: PlannedScan,
    out: Path,
    status_file: Path,
    *,
    requires: Sequence[Path],
) -> None:
    """Do a step of a scan and record how it ended; a failure lets the other scans go on, and is shown."""
    run_step(
        lambda: source(name).step(step, options, scan, out),
        status_file=status_file,
        method=scan.name,
        step=step,
        on_failure="record",
        requires=requires,
    )


def prepare_subject(name: str, options: Mapping[str, Any], out: Path, subject: str) -> Path:
    """Prepare one subject of a source; its part sheet."""
    return source(name).prepare(options, subject, out)
