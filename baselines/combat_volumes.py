"""ComBat on volumes: what the field does most (Fortin et al. 2018 on cortical thickness, Radua et al. 2020 on volumes).

y = alpha + X beta + gamma + delta e for each volume, where gamma and delta are the scanner's. Comparisons find that it
takes away more of scanners' differences in volumes than methods of images do. The model is that of `baselines.combat`,
with volumes for voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from baselines._volume_combat import VolumeCombat, fit_volumes
from baselines.interface import OfVolumes
from core.study import Scan, Study


class CombatVolumes(VolumeCombat):
    """ComBat on volumes, with the priors of empirical Bayes where there are regions to estimate them from."""

    id = "combat_volumes"
    label = "ComBat on volumes"
    citation = "Johnson et al., Biostatistics 8 (2007) 118-127; Fortin et al., NeuroImage 167 (2018) 104-120"
    license = "Artistic-2.0"
    limits = (
        "It gives no images. Of n people a scanner it keeps (n - 1)/n of the variance between people, by the formulas "
        "as published: 83 % with 6. It makes no use of who was scanned twice."
    )

    @dataclass(frozen=True)
    class Parameters(OfVolumes):
        """of: the arm whose volumes are harmonized.

        parts: tissues, each by itself, or regions, whose scanners' shifts and scales are shrunk towards their mean:
        three tissues are too few to estimate a prior from.
        covariates: columns of the sheet, comma separated, whose effect is kept; numbers, or groups.
        """

        covariates: str = ""

    parameters: Parameters

    def fit(self, study: Study, volumes: np.ndarray) -> None:
        """Estimate every volume's model, then the scanners' shifts and scales."""
        self.fitted = fit_volumes(
            study, volumes, self.parameters.covariates, self.id, empirical_bayes=self.parts == "regions"
        )

    def transform(self, scan: Scan, volumes: np.ndarray) -> np.ndarray:
        """The volumes without their scanner's shift and scale."""
        return self.fitted.adjusted(scan, volumes)
