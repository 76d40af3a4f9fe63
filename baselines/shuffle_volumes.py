"""Control: a method of volumes, fitted after each person's scanner labels were permuted (see `baselines.shuffle`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.combat_volumes import CombatVolumes
from baselines.interface import Context, OfVolumes, Plan, VolumeMethod
from baselines.shuffle import made_inner, shuffled
from core.study import Scan, Study


class ShuffleVolumes(VolumeMethod):
    """A method of volumes fitted on wrong scanner labels and applied by the right ones."""

    id = "shuffle_volumes"
    label = "Shuffle, volumes (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: its method is taught nothing true of scanners, and people scanned once keep their label."

    @dataclass(frozen=True)
    class Parameters(OfVolumes):
        """base: the id of the method that is fitted. settings: its parameters, `name=value name=value`.

        of, parts: those of the method count.
        """

        base: str = CombatVolumes.id
        settings: str = ""

    parameters: Parameters

    def __init__(self, parameters: Parameters | None = None, context: Context | None = None) -> None:
        super().__init__(parameters, context)
        from baselines.harness.registry import volume_method

        self.inner = made_inner(self, volume_method)
        self.uses_other_scans = self.inner.uses_other_scans
        self.fits_follow_ups = self.inner.fits_follow_ups
        self.libraries = self.inner.libraries

    @property
    def of(self) -> str:
        """The method's."""
        return self.inner.of

    @property
    def parts(self) -> str:
        """The method's."""
        return self.inner.parts

    def check_plan(self, plan: Plan) -> None:
        """What the method refuses."""
        self.inner.check_plan(plan)

    def not_applicable(self, study: Study) -> str | None:
        """What the method says of the shuffled study."""
        return self.inner.not_applicable(self._shuffled(study))

    def fit(self, study: Study, volumes: np.ndarray) -> None:
        """Permute the labels, then fit the method."""
        self.inner.fit(self._shuffled(study), volumes)

    def prepare(self, study: Study, volumes: np.ndarray) -> None:
        """What the method wants to know."""
        self.inner.prepare(study, volumes)

    def transform(self, scan: Scan, volumes: np.ndarray) -> np.ndarray:
        """The method's, with the scan's own label."""
        return self.inner.transform(scan, volumes)

    def save(self, folder: Path) -> None:
        """The method's files."""
        self.inner.save(folder)

    def load(self, folder: Path) -> None:
        """The method's files."""
        self.inner.load(folder)

    def _shuffled(self, study: Study) -> Study:
        return shuffled(study, self.context.generator(self.id))
