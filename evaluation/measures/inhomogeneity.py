"""How unevenly bright one tissue is: what a receive field shades, and noise and anatomy with it."""

from __future__ import annotations

import math

import numpy as np

from evaluation.measures.interface import Measure, Person

TABLE = "inhomogeneity"
COLUMNS = ("scanner", "white_matter_cv")
MEASURES = (
    Measure(
        name="white_matter_cv",
        label="Inhomogeneity: CV of WM",
        unit="%",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "Standard deviation of white matter's intensities in % of their mean, on RAW's scale, over the voxels of "
            "contrast-to-noise. A field that shades the image raises it, and so do noise and partial volumes; a "
            "blur lowers it. (Joint variation, beside it, has gray matter's too, and is blind to an offset.)"
        ),
        reference="Dawant et al. 1993; Ganzetti et al. 2016",
        table=TABLE,
        column="white_matter_cv",
    ),
)


def coefficient_of_variation(values: np.ndarray) -> float:
    """Standard deviation in % of the mean of intensities (N,); a factor of them doesn't change it.

    Range 0 upwards; NaN where there are none, or where the mean isn't above 0.
    """
    mean = float(values.mean(dtype=np.float64)) if values.size else math.nan
    return 100 * float(values.std(dtype=np.float64)) / mean if mean > 0 else math.nan


def of_person(person: Person) -> list[dict]:
    """A row a scan."""
    return [
        {
            "scanner": scanner,
            "white_matter_cv": coefficient_of_variation(image.ravel()[person.white_and_gray[scanner][0]]),
        }
        for scanner, image in person.images.items()
    ]
