"""What a fit doesn't see of a study, so that its method is judged on people and scanners that it doesn't know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from baselines.interface import Harmonizer
from core import folds
from core.errors import InputError, NotApplicable
from core.left_out import check_scanner
from core.study import Study


@dataclass(frozen=True)
class Withheld:
    """The people of a fold, the scans of a scanner, both, or nothing."""

    fold: str | None = None
    scanner: str | None = None

    @contextlib.contextmanager
    def training(self, arm: Harmonizer, study: Study) -> Iterator[Study]:
        """The rest, to fit a method on; what the fit inside refuses names what was withheld.

        Follow-ups are withheld from all methods but those whose model knows of time, and from these where the person
        or the scanner has no scan among the rest.

        Raises `NotApplicable` for a method that cannot be applied to what was withheld afterwards.
        """
        if self.fold is not None and not arm.unseen_subjects:
            raise NotApplicable("it cannot be applied to people it was not fitted on, as held-out evaluation asks")
        if self.scanner is not None and not arm.unseen_scanners:
            raise NotApplicable("it cannot be applied to scanners it was not fitted on, as leaving one out asks")
        try:
            yield self._rest(study if arm.fits_follow_ups else study.without_follow_ups())
        except (InputError, NotApplicable) as error:
            raise type(error)(f"{self._words}{error}") from None

    def _rest(self, study: Study) -> Study:
        if self.fold is not None:
            study = folds.training(study, self.fold)
        if self.scanner is not None:
            check_scanner(self.scanner, study.scanners)
            study = study.where(lambda scan: scan.scanner != self.scanner)
        people, scanners = set(study.subjects), set(study.scanners)
        return study.where(lambda scan: scan.subject in people and scan.scanner in scanners)

    @property
    def _words(self) -> str:
        named = {"fold": self.fold, "scanner": self.scanner}
        found = " and ".join(f"{what} {name}" for what, name in named.items() if name is not None)
        return f"without {found}: " if found else ""
