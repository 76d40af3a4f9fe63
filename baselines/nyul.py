"""Nyul: a piecewise linear map a scan, which brings its percentiles to the study's mean percentiles.

Nyul and Udupa, Magnetic Resonance in Medicine 42 (1999) 1072-1081, through `intensity-normalization`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from baselines._intensity_normalization import StudyArm


class Nyul(StudyArm):
    """The library's histogram standardization; its output runs from 1 to 100."""

    id = "nyul"
    label = "Nyul"
    citation = "Nyul and Udupa, Magnetic Resonance in Medicine 42 (1999) 1072-1081"
    license = "MIT"
    limits = "It aligns histograms: it takes part of the differences in tissue volume for differences of scanner."
    learned = ("_standard_scale", "_percentiles")

    @dataclass(frozen=True)
    class Parameters:
        """Percentiles of the brain that become landmarks.

        first, last: the outermost, which the standard scale puts near 1 and 100.
        step: between 10 and 90, a landmark every so many percent; a divisor of 80.
        """

        first: float = 1.0
        last: float = 99.0
        step: int = 10

        def __post_init__(self) -> None:
            if not (0 <= self.first < 10 and 90 < self.last <= 100):
                raise ValueError(
                    f"first is {self.first:g} and last {self.last:g}; they lie below 10 and above 90 percent"
                )
            if self.step < 1 or 80 % self.step:
                raise ValueError(f"step is {self.step}; it divides 80: 1, 2, 4, 5, 8, 10, 16, 20, 40 or 80")

    parameters: Parameters

    def normalizer(self) -> Any:
        """The library's normalizer for these percentiles."""
        from intensity_normalization.normalizers.population.nyul import NyulNormalizer

        return NyulNormalizer(
            min_percentile=self.parameters.first,
            max_percentile=self.parameters.last,
            percentile_step=self.parameters.step,
        )
