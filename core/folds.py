"""People divided into folds, so that each can be judged by what was fitted without them.

The division is by person: all scans of a person are in one fold. It stands in the column `fold` of the
run's sheet, from which every step reads it.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from core.covariates import Covariate
from core.errors import InputError

if TYPE_CHECKING:
    from core.study import Scan, Study  # which brings pandas, and planning needs none

COLUMN = "fold"


def fold_names(count: int) -> list[str]:
    """What `count` folds are called: 1, 2, ..."""
    return [str(number + 1) for number in range(count)]


def folder_name(fold: str) -> str:
    """The folder of what belongs to a fold: `fold-1`, ..."""
    return f"fold-{fold}"


def check_count(count: int, people: int) -> None:
    """Refuse more folds than there are people, and fewer than two."""
    if not 2 <= count <= people:
        raise InputError(
            f"folds.count is {count} for {people} people; it lies between 2 and the number of people "
            f"({people} leaves out one person at a time)"
        )


def assign_folds(
    subjects: Sequence[str], count: int, *, seed: int, strata: Mapping[str, float] | Mapping[str, str] | None = None
) -> dict[str, str]:
    """Each subject's fold, by chance from `seed`; the folds' sizes differ by one at most.

    `strata` gives each subject's value of a covariate: of every value (and of numbers of every range between two
    of them) the folds get the same number of people, or one more. Raises `InputError` for fewer than two folds or
    more than there are people.

    Our own, since scikit-learn's divisions take groups but no numbers such as age.
    """
    check_count(count, len(subjects))
    generator = random.Random(seed)
    mixed = generator.sample(subjects, len(subjects))
    if strata is not None:
        # stable: people of one value stay in their mixed order
        mixed.sort(key=lambda subject: strata[subject])
    names = generator.sample(fold_names(count), count)
    dealt = {subject: names[place % count] for place, subject in enumerate(mixed)}
    return {subject: dealt[subject] for subject in subjects}


def strata_of(covariate: Covariate) -> dict[str, float] | dict[str, str]:
    """Each subject's value of a covariate (`Covariate.of_people`).

    Raises `InputError` for a subject with no value, or with several texts.
    """
    values = covariate.of_people()
    for cell in covariate.cells:
        if cell.subject not in values:
            raise InputError(
                f"folds.stratify: {cell.where}: subject '{cell.subject}' has no {covariate.name}; give everybody one, "
                "or choose another column"
            )
    return values


def with_folds(study: Study, folds: Mapping[str, str]) -> Study:
    """The study with every scan's fold in its covariates."""

    def placed(scan: Scan) -> Scan:
        return dataclasses.replace(scan, covariates={**scan.covariates, COLUMN: folds[scan.subject]})

    return type(study)(*(tuple(map(placed, part)) for part in (study.scans, study.rescans, study.follow_ups)))


def fold_of(scan: Scan) -> str:
    """The fold of a scan's person; empty where people aren't divided."""
    return scan.covariates.get(COLUMN, "")


def parted(study: Study, fold: str) -> tuple[Study, Study]:
    """The people of a fold, and the others; nobody, where the study holds some of the people alone."""
    return study.where(lambda scan: fold_of(scan) == fold), study.where(lambda scan: fold_of(scan) != fold)


def _known(study: Study, fold: str) -> tuple[Study, Study]:
    inside, others = parted(study, fold)
    if not inside.scans:
        known = ", ".join(dict.fromkeys(map(fold_of, study.scans)))
        raise InputError(f"the sheet has no fold '{fold}' (column {COLUMN}: {known or 'absent'})")
    return inside, others


def held_out(study: Study, fold: str) -> Study:
    """The people of a fold. Raises `InputError` for a fold that the sheet doesn't know."""
    return _known(study, fold)[0]


def training(study: Study, fold: str) -> Study:
    """Everyone but the people of a fold. Raises `InputError` for a fold that the sheet doesn't know."""
    return _known(study, fold)[1]


def by_fold(study: Study) -> Iterator[tuple[str, Study]]:
    """Each fold with its people; all of them under the name "" where people aren't divided."""
    for fold in sorted({fold_of(scan) for scan in study.scans}, key=lambda name: (len(name), name)):
        yield fold, held_out(study, fold)
