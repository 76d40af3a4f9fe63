"""Who a made-up person is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.random_numbers import generator


@dataclass(frozen=True)
class Subject:
    """A made-up person. `severity` of atrophy is about 0 (none) to 1 (severe)."""

    id: str
    age: float
    sex: str
    diagnosis: str
    severity: float


def make_subject(seed: int, subject: str) -> Subject:
    """Who this subject is: it depends on the seed and the id alone.

    Age and diagnoses as in the paper (section 4.1): 51 to 78 years, 44 % male, 44 % healthy.
    """
    random = generator(seed, "subject", subject)
    while not 51 <= (age := random.normal(69, 7)) <= 78:
        pass
    diseased = random.random() < 0.56
    male = random.random() < 0.44
    severity = 0.5 * (age - 50) / 28 + 0.45 * diseased + random.normal(0, 0.12)
    return Subject(
        id=subject,
        age=round(age, 1),
        sex="M" if male else "F",
        diagnosis="AD" if diseased else "healthy",
        severity=float(np.clip(severity, 0, 1.2)),
    )
