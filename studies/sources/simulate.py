"""Source `simulate`: simulated scanners on real people's brains, with the truth beside each scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.errors import InputError, nearest
from core.jobs.command import progress
from core.tables import as_number
from studies.bids.description import dataset_card
from studies.simulation.real_people import SimulateOptions as Options
from studies.simulation.real_people import check_person, find_people
from studies.sources import PlannedScan

SELECTING = ("subjects", "missing", "sessions", "rescanned")


def plan(options: Options) -> list[PlannedScan]:
    """Every person's scans; lists the folder, opens no image."""
    people = {person.subject: person for person in find_people(options)}
    return [
        PlannedScan(
            *scan,
            files=(str(people[scan[0]].image),),
            covariates=people[scan[0]].covariates,
            row=people[scan[0]].where,
        )
        for scan in options.planned(list(people))
    ]


def covariates(options: Options) -> list[str]:
    """The columns of participants.tsv."""
    return sorted({name for person in find_people(options) for name in person.covariates})


def card(options: Options) -> dict[str, str]:
    """The dataset whose brains the simulated scanners see."""
    told = dataset_card(Path(options.anatomy or ""))
    return {**told, "name": f"brains of {told.get('name', 'real people')} on simulated scanners, {options.variant}"}


def grid(options: Options) -> tuple[int, ...]:
    """Voxels along each axis."""
    from studies.simulation.grid import SHAPE

    return tuple(n // options.voxel_size_mm for n in SHAPE)


def bytes_beside(options: Options) -> float:
    """Of the truth and T2-weighted images, a voxel and scan."""
    from core.jobs.disk_space import IMAGE, TRUTH

    return TRUTH + IMAGE * options.t2


def libraries(options: Options) -> tuple[str, ...]:
    """nilearn, whose wheel has the atlas, and antspyx, which lays brains on it."""
    return ("ants", "nilearn")


def check(options: Options) -> None:
    """Read every person's image; refuse what isn't a skull-stripped brain."""
    from studies.simulation.truth import check_scanners

    check_scanners(options)
    for person in progress(find_people(options), what="anatomies read"):
        check_person(person)


def prepare(options: Options, subject: str, folder: Path) -> Path:
    """Take one person's anatomy and scan it; what is written: `studies.simulation.truth.write_subject`."""
    from studies.simulation.anatomy import coarsen
    from studies.simulation.real_people import make_anatomy, tissue_fractions
    from studies.simulation.truth import Later, write_subject

    people = {person.subject: person for person in find_people(options)}
    if subject not in people:
        raise InputError(f"subject '{subject}' is not in {options.anatomy}{nearest(subject, people)}")
    person = people[subject]
    failing = options.failing(list(people))
    brain = tissue_fractions(person.image)
    follow_up = options.follow_up_of(subject, list(people))
    details: dict[str, object] = {"anatomy": f"real brain: {person.image.name}"}
    later = None
    if follow_up is not None:
        older = coarsen(make_anatomy(*brain, options.seed, subject, lost=follow_up.cortex), options.voxel_size_mm)
        later = Later(older, follow_up.years, years_later(person.covariates, follow_up.years))
        details |= {"follow_up": {"years": follow_up.years, "cortex_lost": follow_up.cortex}}
    return write_subject(
        Path(folder),
        subject,
        coarsen(make_anatomy(*brain, options.seed, subject), options.voxel_size_mm),
        options,
        covariates=person.covariates,
        failing=failing[1] if failing and failing[0] == subject else None,
        rescans=options.rescans_of(subject, list(people)),
        later=later,
        details=details,
    )


def years_later(covariates: Mapping[str, str], years: float) -> dict[str, str]:
    """A person's covariates so many years later: an age that is a number grows by them."""
    age = as_number(covariates.get("age", ""))
    return {**covariates, **({} if age is None else {"age": f"{age + years:g}"})}
