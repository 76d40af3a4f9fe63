"""LSQ: one factor a scan, which brings its tissue means nearest to a standard's by least squares.

Reinhold et al., SPIE Medical Imaging (2019) 109493H, through `intensity-normalization`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from baselines._intensity_normalization import StudyArm


class Lsq(StudyArm):
    """The library's least squares fit of tissue means; the study's first scan is the standard."""

    id = "lsq"
    label = "LSQ"
    citation = "Reinhold et al., SPIE Medical Imaging (2019) 109493H"
    license = "MIT"
    limits = "One factor a scan: it cannot change contrast; the first scan alone is the library's standard."
    learned = ("_standard_tissue_means",)

    def normalizer(self) -> Any:
        """The library's normalizer, with cerebrospinal fluid at 1 in the standard."""
        from intensity_normalization.normalizers.population.lsq import LSQNormalizer

        class FlatMeans(LSQNormalizer):
            # the library makes a float of a 1 x 1 matrix, which numpy refuses from 2.4 on; of vectors it's a number
            def _get_tissue_means(self, data: np.ndarray, tissue_membership: np.ndarray) -> np.ndarray:
                return super()._get_tissue_means(data, tissue_membership).ravel()

        return FlatMeans()
