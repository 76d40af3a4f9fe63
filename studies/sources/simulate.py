"""Source `simulate`: simulated scanners on real people's brains, with the truth beside each scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError, nearest
from core.jobs.command import progress
from studies.simulation.real_people import SimulateOptions, check_person, find_people
from studies.sources import PlannedScan


def plan(options: Mapping[str, Any]) -> list[PlannedScan]:
    """The scans of a `SimulateOptions` given as a mapping; lists the folder, opens no image."""
    study = SimulateOptions.from_json(options)
    return [
        PlannedScan(person.subject, scanner.name)
        for person in find_people(study)
        for scanner in study.scanners_of(person.subject)
    ]


def covariates(options: Mapping[str, Any]) -> list[str]:
    """The columns of participants.tsv."""
    return sorted({name for person in find_people(SimulateOptions.from_json(options)) for name in person.covariates})


def grid(options: Mapping[str, Any]) -> tuple[int, ...]:
    """Voxels along each axis."""
    from studies.simulation.grid import SHAPE

    return tuple(n // options.get("voxel_size_mm", 2) for n in SHAPE)


def bytes_beside(options: Mapping[str, Any]) -> float:
    """Of the truth, a voxel and scan."""
    from core.jobs.disk_space import TRUTH

    return TRUTH


def check(options: Mapping[str, Any]) -> None:
    """Read every person's image; refuse what isn't a skull-stripped brain."""
    from studies.simulation.truth import check_scanners

    study = SimulateOptions.from_json(options)
    check_scanners(study)
    for person in progress(find_people(study), what="anatomies read"):
        check_person(person)


def inputs(options: Mapping[str, Any]) -> list[Path]:
    """Every person's image."""
    return [person.image for person in find_people(SimulateOptions.from_json(options))]


def prepare(options: Mapping[str, Any], subject: str, folder: Path) -> Path:
    """Take one person's anatomy and scan it; what is written: `studies.simulation.truth.write_subject`."""
    from studies.simulation.anatomy import coarsen
    from studies.simulation.real_people import make_anatomy
    from studies.simulation.truth import write_subject

    study = SimulateOptions.from_json(options)
    people = {person.subject: person for person in find_people(study)}
    if subject not in people:
        raise InputError(f"subject '{subject}' is not in {study.anatomy}{nearest(subject, people)}")
    person = people[subject]
    failing = study.failing(list(people))
    return write_subject(
        Path(folder),
        subject,
        coarsen(make_anatomy(person.image, study.seed, subject), study.voxel_size_mm),
        study,
        covariates=person.covariates,
        failing=failing[1] if failing and failing[0] == subject else None,
        details={"anatomy": f"real brain: {person.image.name}"},
    )
