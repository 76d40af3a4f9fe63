"""Source `phantom`: made-up people on simulated scanners, with the truth beside each scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.errors import InputError, nearest
from studies.simulation.options import PhantomOptions as Options
from studies.sources import ATLAS_SPACE, PlannedScan

SELECTING = ("subjects", "missing", "sessions", "rescanned")


def plan(options: Options) -> list[PlannedScan]:
    """Every person's scans; scanners of the user's own are checked now, since that is quick."""
    if any(not isinstance(scanner, str) for scanner in options.scanners):
        check(options)
    return [PlannedScan(*scan) for scan in options.planned(options.subject_ids())]


def covariates(options: Options) -> list[str]:
    """Those of a made-up person."""
    return ["age", "sex", "diagnosis"]


def grid(options: Options) -> tuple[int, ...]:
    """Voxels along each axis."""
    from studies.simulation.grid import SHAPE

    return tuple(n // options.voxel_size_mm for n in SHAPE)


def bytes_beside(options: Options) -> float:
    """Of the truth and T2-weighted images, a voxel and scan."""
    from core.jobs.disk_space import IMAGE, TRUTH

    return TRUTH + IMAGE * options.t2


def space(options: Options) -> str:
    """The atlas's, of which people are deformations."""
    return ATLAS_SPACE


def card(options: Options) -> dict[str, str]:
    """That nobody was scanned."""
    return {
        "name": f"digital phantom, {options.variant}",
        "license": "MIT; the anatomy's notice is in studies/simulation/LICENSE-ICBM152.txt",
        "reference": "ICBM152 2009a (Fonov et al. 2011), deformed",
    }


def libraries(options: Options) -> tuple[str, ...]:
    """nilearn, whose wheel has the atlas."""
    return ("nilearn",)


def check(options: Options) -> None:
    """Refuse scanners whose contrast no T1-weighted scan has."""
    from studies.simulation.truth import check_scanners

    check_scanners(options)


def prepare(options: Options, subject: str, folder: Path) -> Path:
    """Make one subject and scan it; what is written: `studies.simulation.truth.write_subject`."""
    from studies.simulation.anatomy import coarsen, make_anatomy
    from studies.simulation.people import make_subject
    from studies.simulation.truth import Later, check_scanners, write_subject

    if subject not in options.subject_ids():
        raise InputError(f"subject '{subject}' is not in this study{nearest(subject, options.subject_ids())}")
    check_scanners(options)
    person = make_subject(options.seed, subject)
    anatomy = coarsen(make_anatomy(person, options.seed), options.voxel_size_mm)
    people = options.subject_ids()
    failing = options.failing(people)
    follow_up = options.follow_up_of(subject, people)
    covariates: dict[str, object] = {"age": person.age, "sex": person.sex, "diagnosis": person.diagnosis}
    details: dict[str, object] = {"anatomy": "phantom (ICBM152 2009a, deformed)", "severity": person.severity}
    later = None
    if follow_up is not None:
        older = replace(person, severity=person.severity + follow_up.severity)
        brain = coarsen(make_anatomy(older, options.seed), options.voxel_size_mm)
        later = Later(brain, follow_up.years, covariates | {"age": round(person.age + follow_up.years, 1)})
        details |= {"follow_up": {"years": follow_up.years, "severity": older.severity}}
    return write_subject(
        Path(folder),
        subject,
        anatomy,
        options,
        covariates=covariates,
        failing=failing[1] if failing and failing[0] == subject else None,
        rescans=options.rescans_of(subject, people),
        later=later,
        details=details,
    )
