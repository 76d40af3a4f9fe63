"""Control: another method, fitted after each person's scanner labels were permuted.

What it then learns of scanners is noise: where it comes out as well as the method itself, the method's gain
wasn't knowledge of scanners. ComBat by default: it is quick and looks at labels, which RAVEL, Nyul and
histogram matching don't, so that shuffling would change nothing in them.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from baselines.combat import ComBat
from baselines.interface import Context, Harmonizer, Method, Plan
from core.errors import InputError
from core.study import Scan, Study

Chosen = TypeVar("Chosen", bound=Harmonizer)


def shuffled(study: Study, generator: np.random.Generator) -> Study:
    """The study with the scanner labels of each person's scans permuted among them.

    Everyone still has at most one scan a scanner, so that paired methods can be fitted too. Of people with a scan on
    every scanner, in random order, each one's labels are turned one scanner further than the last one's: so every
    label holds scans of every scanner alike often, but for one person where scanners don't divide them, and what is
    learned of a label is learned of all scanners. Those of others are permuted by chance. A follow-up has the label
    that the person's scan of that scanner has, or one by chance where there is none.
    """
    scanners = study.scanners
    mixed = [str(subject) for subject in generator.permutation(study.subjects)]
    first = int(generator.integers(len(scanners)))
    turns = {subject: first + number for number, subject in enumerate(mixed)}
    wrong: dict[tuple[str, str], str] = {}
    for subject in study.subjects:
        own = [scan.scanner for scan in study.of_subject(subject)]
        if len(own) == len(scanners):
            for scanner in own:
                wrong[subject, scanner] = scanners[(scanners.index(scanner) + turns[subject]) % len(scanners)]
        else:
            wrong |= {
                (subject, scanner): str(label) for scanner, label in zip(own, generator.permutation(own), strict=True)
            }
    for scan in study.follow_ups:
        if (scan.subject, scan.scanner) not in wrong:
            wrong[scan.subject, scan.scanner] = str(generator.choice(scanners))

    def relabeled(scans: Iterable[Scan]) -> tuple[Scan, ...]:
        return tuple(dataclasses.replace(scan, scanner=wrong[scan.subject, scan.scanner]) for scan in scans)

    return Study(relabeled(study.scans), follow_ups=relabeled(study.follow_ups))


def made_inner(control: Harmonizer, find: Callable[[str], type[Chosen]]) -> Chosen:
    """The method that a control with the parameters `base` and `settings` fits; `find` gives a method by its id.

    Raises `InputError` for an unknown one, its parameters, or the control itself.
    """
    from baselines.harness.parameters import parse_parameters

    base = control.parameters.base
    if base == control.id:
        raise InputError(f"{control.id}: base is {control.id} itself; name another method, such as {ComBat.id}")
    chosen = find(base)
    return chosen(parse_parameters(chosen, shlex.split(control.parameters.settings)), control.context)


class Shuffle(Method):
    """A method fitted on wrong scanner labels and applied by the right ones."""

    id = "shuffle"
    label = "Shuffle (control)"
    citation = "a control of this benchmark"
    control = True
    limits = "A control: its method is taught nothing true of scanners, and people scanned once keep their label."

    @dataclass(frozen=True)
    class Parameters:
        """base: the id of the method that is fitted. settings: its parameters, `name=value name=value`."""

        base: str = ComBat.id
        settings: str = ""

    parameters: Parameters

    def __init__(self, parameters: Parameters | None = None, context: Context | None = None) -> None:
        super().__init__(parameters, context)
        from baselines.harness.registry import image_method

        self.inner = made_inner(self, image_method)
        self.uses_other_scans = self.inner.uses_other_scans
        self.by_voxel = self.inner.by_voxel
        self.needs = self.inner.needs
        self.trained_together = self.inner.trained_together
        self.libraries = self.inner.libraries

    @property
    def commands(self) -> tuple[str, ...]:
        """The method's."""
        return self.inner.commands

    def check_plan(self, plan: Plan) -> None:
        """What the method refuses."""
        self.inner.check_plan(plan)

    def not_applicable(self, study: Study) -> str | None:
        """What the method says of the shuffled study."""
        return self.inner.not_applicable(self._shuffled(study))

    def fit(self, study: Study) -> None:
        """Permute the labels, then fit the method."""
        self.inner.fit(self._shuffled(study))
        self.passes = self.inner.passes
        self.used_device = self.inner.used_device

    def prepare(self, study: Study) -> None:
        """What the method wants to know."""
        self.inner.prepare(study)

    def reads(self, study: Study) -> list[Path]:
        """What the method reads."""
        return self.inner.reads(study)

    def takes(self, scan: Scan) -> bool:
        """What the method takes."""
        return self.inner.takes(scan)

    def transform(self, scan: Scan) -> np.ndarray:
        """The method's, with the scan's own label."""
        return self.inner.transform(scan)

    def save(self, folder: Path) -> None:
        """The method's files."""
        self.inner.save(folder)

    def load(self, folder: Path) -> None:
        """The method's files."""
        self.inner.load(folder)
        self.used_device = self.inner.used_device

    def _shuffled(self, study: Study) -> Study:
        return shuffled(study, self.context.generator(self.id))
