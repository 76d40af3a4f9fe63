"""Images harmonized elsewhere: found by a pattern of their paths, without any code.

`methods: {theirs: {method: external, images: "/data/theirs/{subject}/{scanner}.nii.gz"}}`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.interface import Context, Method, Named, Plan
from core.errors import InputError
from core.paths import looked_in
from core.study import Scan, Study


class External(Method):
    """Somebody's harmonized images, on the study's grid; set to 0 outside the mask."""

    id = "external"
    label = "External"
    citation = "whoever made the images"
    license = "whoever made it says"
    trained_on = "not known: made elsewhere"
    limits = "It takes images as they are: which scans they were fitted on is not known here."
    fits_on = "scan"
    unseen_scanners = True

    @dataclass(frozen=True)
    class Parameters:
        """images: a path with {subject}, {scanner} and, where rescans or follow-ups were harmonized too, {session}.

        A relative one counts from where the command is run.
        uses_other_scans: whether a person's other scans were used to make an image; it must be said.
        """

        images: str = ""
        uses_other_scans: bool | None = None

    parameters: Parameters

    def __init__(self, parameters: Parameters | None = None, context: Context | None = None) -> None:
        super().__init__(parameters, context)
        self.uses_other_scans = bool(self.parameters.uses_other_scans)

    def check_plan(self, plan: Plan) -> None:
        """A pattern that isn't one, and images of which it isn't said how they were made."""
        if not self.parameters.images:
            raise InputError(
                "external: no images; set images to a path such as /some/{subject}/{scanner}.nii.gz, in the "
                "configuration or by --param images=..."
            )
        if self.parameters.uses_other_scans is None:
            raise InputError(
                "external: say whether a person's other scans were used to make an image, as an average or a target "
                "does: set uses_other_scans to true or false; an arm that uses them gets no rank"
            )
        for placeholder in ("{subject}", "{scanner}"):
            if placeholder not in self.parameters.images:
                raise InputError(
                    f"external: images={self.parameters.images} lacks {placeholder}; write it where it varies"
                )
        # what a sheet calls the first session isn't planned
        if "{session}" not in self.parameters.images:
            self._check_there(plan.scans)

    def fit(self, study: Study) -> None:
        """Refuse a pattern that isn't one; nothing is learned."""
        self.check_plan(Plan(study.scanners))
        self.prepare(study)

    def prepare(self, study: Study) -> None:
        """Refuse images that are missing or on another grid, before any is used."""
        self._check_there(study.scans)
        for scan in study.scans:
            self._read(scan)

    def transform(self, scan: Scan) -> np.ndarray:
        """The image of that scan, 0 outside the mask."""
        return np.where(scan.read_mask(), self._read(scan), np.float32(0))

    def reads(self, study: Study) -> list[Path]:
        """The images that are there."""
        return [path for path in map(self.path_of, study.every) if path.is_file()]

    def takes(self, scan: Scan) -> bool:
        """A rescan or follow-up only where the pattern tells sessions apart."""
        return not scan.visit or "{session}" in self.parameters.images

    def path_of(self, scan: Named) -> Path:
        """Where the image of that scan lies."""
        path = self.parameters.images
        for name in ("subject", "scanner", "session"):
            path = path.replace("{" + name + "}", getattr(scan, name))
        return Path(path)

    def _check_there(self, scans: Sequence[Named]) -> None:
        missing = [path for path in map(self.path_of, scans) if not path.is_file()]
        if missing:
            raise InputError(
                f"external: {len(missing)} of {len(scans)} images are missing, the first is {missing[0]}"
                f"{looked_in(missing[0])}; add them, or leave their scans out of the sheet"
            )

    def _read(self, scan: Scan) -> np.ndarray:
        return scan.load(self.path_of(scan))
