"""A method in any language: two command lines, one that fits and one that applies.

    python -m baselines fit command --scans S.tsv --model M --param fit="Rscript fit.R {scans} {model}"
        --param apply="Rscript apply.R {scans} {model} {out}"

{scans} is a sheet of scans with full paths, {model} a folder for what was learned, {out} a folder for the harmonized
images, `sub-<subject>_scanner-<scanner>_T1w.nii.gz`; all three are quoted for the shell. `apply` runs once
for many scans, since starting R or Matlab takes longer than a scan.

A saved model says which line it was fitted with, and doesn't bring it: `apply` by hand takes it again.

    python -m baselines apply command --model M --scans S.tsv --out DIR
        --param apply="Rscript apply.R {scans} {model} {out}"
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.interface import Context, Method, Plan
from core.errors import InputError
from core.images import save_image, save_labels
from core.run_folder import image_name, mask_name, scan_name
from core.sheet import write_sheet
from core.study import Scan, Study

MODEL_FOLDER = "command"


class Command(Method):
    """Somebody's program; what it learned is saved as it wrote it."""

    id = "command"
    label = "Command"
    citation = "whoever wrote the program"
    license = "whoever made it says"
    trained_on = "not known: made elsewhere"
    limits = "It is what its command lines do; the same seed gives the same bytes only if they do."
    unseen_scanners = True

    @dataclass(frozen=True)
    class Parameters:
        """fit: the command line that learns, with {scans} and {model}; empty where nothing is learned.

        apply: the command line that harmonizes, with {scans}, {out} and, where something was learned, {model}; it
        is run for the scans of one scanner at a time, in a run of a batch of people (`people_per_job`).
        uses_other_scans: whether it looks at a person's other scans, and so is run for all scans at once.
        by_voxel: whether what it learned is of places on the grid, so that scans on another grid are refused.
        """

        fit: str = ""
        apply: str = ""
        uses_other_scans: bool = False
        by_voxel: bool = False

        def __post_init__(self) -> None:
            needed = {"fit": ("{scans}", "{model}"), "apply": ("{scans}", "{out}")}
            for name, placeholders in needed.items():
                line = getattr(self, name)
                lacking = [placeholder for placeholder in placeholders if line and placeholder not in line]
                if lacking:
                    raise ValueError(f"{name}='{line}' lacks {' and '.join(lacking)}; write them where the paths go")

    parameters: Parameters

    def __init__(self, parameters: Parameters | None = None, context: Context | None = None) -> None:
        super().__init__(parameters, context)
        self.uses_other_scans = self.parameters.uses_other_scans
        self.learns_scanners = bool(self.parameters.fit)
        self.by_voxel = self.parameters.by_voxel

    @property
    def commands(self) -> tuple[str, ...]:
        """The one that harmonizes."""
        return tuple(filter(None, (self.parameters.apply,)))

    def check_plan(self, plan: Plan) -> None:
        """No program."""
        if not self.parameters.apply:
            raise InputError('command: no program; give --param apply="my_program {scans} {out}"')

    def fit(self, study: Study) -> None:
        """Run the fitting command line on the study's sheet."""
        self.check_plan(Plan(study.scanners))
        self._fitted = tempfile.TemporaryDirectory(prefix="command-model-")
        self.model = Path(self._fitted.name)
        if self.parameters.fit:
            with tempfile.TemporaryDirectory(prefix="command-fit-") as folder:
                self._run(self.parameters.fit, study, Path(folder))

    def prepare(self, study: Study) -> None:
        """Run the applying command line on all the scans that will be asked for; refuse what it left out."""
        self._applied = tempfile.TemporaryDirectory(prefix="command-apply-")
        self.out = Path(self._applied.name) / "out"
        self.out.mkdir()
        self._run(self.parameters.apply, study, Path(self._applied.name))
        missing = [self.path_of(scan).name for scan in study.scans if not self.path_of(scan).is_file()]
        if missing:
            raise InputError(
                f"command: {len(missing)} of {len(study.scans)} images were not written, the first is "
                f"{missing[0]}; the program must write one a row of {{scans}} into {{out}}"
            )

    def transform(self, scan: Scan) -> np.ndarray:
        """The image that the program wrote for that scan, 0 outside the mask."""
        return np.where(scan.read_mask(), scan.load(self.path_of(scan)), np.float32(0))

    def save(self, folder: Path) -> None:
        """Copy what the program learned."""
        shutil.copytree(self.model, folder / MODEL_FOLDER)

    def load(self, folder: Path) -> None:
        """Note where the program's model lies."""
        self.model = folder / MODEL_FOLDER
        # an empty folder may have been lost on the way
        self.model.mkdir(exist_ok=True)

    def reads(self, study: Study) -> list[Path]:
        """The files that its command lines name, such as a script; what those read in turn isn't known."""
        words: list[str] = []
        for line in (self.parameters.fit, self.parameters.apply):
            with contextlib.suppress(ValueError):  # a quote of the shell's that isn't closed
                words += shlex.split(line)
        return [Path(word) for word in dict.fromkeys(words) if Path(word).is_file()]

    def path_of(self, scan: Scan) -> Path:
        """Where the program was to write that scan."""
        return self.out / image_name(scan_name(scan.subject, scan.scanner))

    def _run(self, line: str, study: Study, folder: Path) -> None:
        """Run a command line on the sheet of `study`, written into `folder`; its output goes to standard error."""
        paths = {"scans": _sheet_for_program(study, folder), "model": self.model, "out": folder / "out"}
        for name, path in paths.items():
            line = line.replace("{" + name + "}", shlex.quote(str(path.resolve())))
        threads = str(self.context.threads)
        done = subprocess.run(
            line,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            env={**os.environ, "OMP_NUM_THREADS": threads},
        )
        if done.returncode:
            raise InputError(f"command: ended with status {done.returncode}: {line}\nIts own messages are above.")


def _sheet_for_program(study: Study, folder: Path) -> Path:
    """Write the sheet of a study as the program is to see it: images on the study's scale, and no truth."""
    scans = []
    for scan in study.scans:
        image, t2 = scan.image, scan.t2
        if scan.scale != "none":
            image = folder / f"{scan.name}_input.nii.gz"
            save_image(image, scan.read(), scan.affine)
            beside = scan.read_t2()
            if beside is not None:
                t2 = folder / f"{scan.name}_input_t2.nii.gz"
                save_image(t2, beside, scan.affine)
        mask = folder / mask_name(scan.name)
        save_labels(mask, scan.read_mask(), scan.affine)
        covariates = {name: value for name, value in scan.covariates.items() if not name.startswith("truth_")}
        # one visit at a time, so that a program needn't know of sessions
        shown = dataclasses.replace(scan, image=image, mask=mask, t2=t2, covariates=covariates)
        scans.append(dataclasses.replace(shown, session="", rescan=False, time=0.0))
    sheet = folder.resolve() / "scans.tsv"
    # a program that isn't ours would have to know that a sheet's paths count from its folder
    write_sheet(sheet, Study(tuple(scans)), absolute=True)
    return sheet
