"""Source `phantom`: made-up people on simulated scanners, with the truth beside each scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError, nearest
from studies.simulation.options import PhantomOptions
from studies.sources import PlannedScan


def plan(options: Mapping[str, Any]) -> list[PlannedScan]:
    """The scans of a `PhantomOptions` given as a mapping."""
    study = PhantomOptions.from_json(options)
    if any(not isinstance(scanner, str) for scanner in study.scanners):
        from studies.simulation.truth import check_scanners

        check_scanners(study)
    return [
        PlannedScan(subject, scanner.name) for subject in study.subject_ids() for scanner in study.scanners_of(subject)
    ]


def covariates(options: Mapping[str, Any]) -> list[str]:
    """Those of a made-up person."""
    return ["age", "sex", "diagnosis"]


def grid(options: Mapping[str, Any]) -> tuple[int, ...]:
    """Voxels along each axis."""
    from studies.simulation.grid import SHAPE

    return tuple(n // options.get("voxel_size_mm", 2) for n in SHAPE)


def bytes_beside(options: Mapping[str, Any]) -> float:
    """Of the truth, a voxel and scan."""
    from core.jobs.disk_space import TRUTH

    return TRUTH


def check(options: Mapping[str, Any]) -> None:
    """Refuse scanners whose contrast no T1-weighted scan has."""
    from studies.simulation.truth import check_scanners

    check_scanners(PhantomOptions.from_json(options))


def prepare(options: Mapping[str, Any], subject: str, folder: Path) -> Path:
    """Make one subject and scan it; what is written: `studies.simulation.truth.write_subject`."""
    from studies.simulation.anatomy import coarsen, make_anatomy
    from studies.simulation.people import make_subject
    from studies.simulation.truth import check_scanners, write_subject

    study = PhantomOptions.from_json(options)
    if subject not in study.subject_ids():
        raise InputError(f"subject '{subject}' is not in this study{nearest(subject, study.subject_ids())}")
    check_scanners(study)
    person = make_subject(study.seed, subject)
    anatomy = coarsen(make_anatomy(person, study.seed), study.voxel_size_mm)
    failing = study.failing(study.subject_ids())
    return write_subject(
        Path(folder),
        subject,
        anatomy,
        study,
        covariates={"age": person.age, "sex": person.sex, "diagnosis": person.diagnosis},
        failing=failing[1] if failing and failing[0] == subject else None,
        details={"anatomy": "phantom (ICBM152 2009a, deformed)", "severity": person.severity},
    )
