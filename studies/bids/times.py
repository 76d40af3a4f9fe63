"""When a BIDS dataset's sessions were, in years after each person's first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core.errors import InputError
from core.tables import as_number, is_missing, shown
from studies.bids.images import Image
from studies.bids.options import ACQ_TIME, FollowUp
from studies.bids.tables import find_row

DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Time:
    """When an image was acquired, in years from any beginning, None where nothing says so; `where` it would stand."""

    where: str
    years: float | None


def years_after_first(folder: Path, images: Sequence[Image], way: FollowUp) -> dict[Path, float]:
    """How many years after its subject's first session each of the images was acquired, by the image's path.

    A session is of one time, that of the first of its images; images without a session are of one, too. All of a
    subject of whom nothing is known are at 0. Raises `InputError` for a time that can't be read, for a session without
    one of a subject whose others have one, for one whose images are further apart than `way.after`, and where nothing
    is known of anybody.
    """
    times = {image.path: time_of(folder, image, way) for image in images}
    if times and all(time.years is None for time in times.values()):
        places = " or ".join(f"column {column} in {table}.tsv" for table, column in way.columns)
        raise InputError(
            f"{folder}: no {places} says when an image was acquired; fill it in, name another with `follow_up: "
            "{time: sessions:COLUMN}`, or leave `follow_up` out"
        )
    of_subjects: dict[str, list[Image]] = {}
    for image in images:
        of_subjects.setdefault(image.subject, []).append(image)
    years: dict[Path, float] = {}
    for subject, own in of_subjects.items():
        sessions: dict[str, list[Time]] = {}
        for image in own:
            sessions.setdefault(session_of(image), []).append(times[image.path])
        began = {session: _beginning(of_session, way) for session, of_session in sessions.items()}
        known = [time for time in began.values() if time is not None]
        for session, time in began.items():
            if known and time is None:
                raise InputError(
                    f"{sessions[session][0].where}: no {way.columns[0][1]} of session '{session}' of subject "
                    f"{subject}, whose other sessions have one; fill it in, or leave the session out with `select`"
                )
        first = min(known, default=0.0)
        for image in own:
            time = began[session_of(image)]
            years[image.path] = 0.0 if time is None else round(time - first, 4)
    return years


def session_of(image: Image) -> str:
    """The label of an image's session, "" without one."""
    return image.entities.get("ses", "")


def time_of(folder: Path, image: Image, way: FollowUp) -> Time:
    """When an image was acquired, by the first of the tables that says so; `InputError` for what can't be read."""
    where = ""
    for table, column in way.columns:
        row = find_row(folder, image, table)
        cell, where = row.cells.get(column, ""), row.where
        if not is_missing(cell):
            return Time(where, _years(cell, column == ACQ_TIME, f"{where}, column {column}"))
    return Time(where, None)


def _years(cell: str, dated: bool, where: str) -> float:
    """A cell in years: of a date, as BIDS writes it, from the year 1 on."""
    if not dated:
        number = as_number(cell)
        if number is None:
            raise InputError(f"{where}: {shown(cell)}; give years as 71.5, and n/a where they aren't known")
        return number
    try:
        # time zones are left out: a day is none of the differences that count here
        date = datetime.fromisoformat(cell).replace(tzinfo=None)
    except ValueError:
        raise InputError(
            f"{where}: {shown(cell)} is no date with its time; write it as 2009-06-15T13:45:30, and n/a where it isn't "
            "known"
        ) from None
    return (date - datetime.min).total_seconds() / 86400 / DAYS_A_YEAR


def _beginning(times: Sequence[Time], way: FollowUp) -> float | None:
    """When a session began, by its images; None where nothing is known of any."""
    known = [(time.years, time.where) for time in times if time.years is not None]
    if not known:
        return None
    (first, its_place), (last, place) = min(known), max(known)
    if last - first > way.after:
        raise InputError(
            f"{place}: acquired {last - first:.3g} years after {its_place}, in one session; correct "
            f"{way.columns[0][1]}, or give the follow-up a session of its own (ses-)"
        )
    return first
