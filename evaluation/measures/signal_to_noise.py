"""How far white matter stands out from the noise."""

from __future__ import annotations

import math

import numpy as np

from core.noise import noise_sd
from evaluation.measures.interface import Measure, Person

TABLE = "signal_to_noise"
COLUMNS = ("scanner", "snr")
MEASURES = (
    Measure(
        name="snr",
        label="Signal-to-noise",
        lowest=0.0,
        highest=math.inf,
        better="higher",
        definition=(
            "Mean of white matter over the standard deviation of its noise, on RAW's scale, over the voxels that, with "
            "their six neighbors, RAW's segmentation gives to white matter on at least half of the person's scanners. "
            "The noise's is 1.4826 x the median size of second differences of neighbors over the root of 6, the least "
            "of three axes: brain-extracted scans have no air to measure it in. A blur raises it, too."
        ),
        reference="Gasser et al. 1986, for second differences; Donoho and Johnstone 1994, for the median",
        table=TABLE,
        column="snr",
    ),
)


def within(region: np.ndarray) -> np.ndarray:
    """The voxels of a region (X, Y, Z), bool, whose six neighbors are of it too; none on the box's rim."""
    found = np.zeros_like(region)
    inner = (slice(1, -1),) * 3
    found[inner] = region[inner]
    for axis in range(3):
        for side in (slice(None, -2), slice(2, None)):
            found[inner] &= region[(*inner[:axis], side, *inner[axis + 1 :])]
    return found


def signal_to_noise(image: np.ndarray, centers: np.ndarray) -> float:
    """The mean of an image (X, Y, Z) over its noise's SD, both at `centers` (X, Y, Z), bool; no unit.

    A factor of the intensities doesn't change it, an offset does. NaN without centers, and where there is no noise.
    """
    noise = noise_sd(image, centers)
    return float(image[centers].mean(dtype=np.float64)) / noise if noise > 0 else math.nan


def of_person(person: Person) -> list[dict]:
    """A row a scan."""
    centers = within(person.tissues["WM"])
    return [{"scanner": scanner, "snr": signal_to_noise(image, centers)} for scanner, image in person.images.items()]
