"""Images on the atlas's grid taken back to where the scanners had them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images import load_image, load_mask, save_image
from core.jobs.command import progress
from core.run_folder import StudyFolder, image_name, scan_name
from core.sheet import read_rows, row_names
from studies.preprocessing.arrays import Grid
from studies.preprocessing.registration import Transforms, carry_back
from studies.preprocessing.scan import extended


def preprocessed_names(study: StudyFolder) -> dict[str, str]:
    """By the stem of a run's scan that of the files its preprocessing left.

    They are one, but for a rescan in the place of a scan that failed, which the run has under the scan's name.
    """
    names: dict[str, str] = {}
    for sheet in sorted(study.root.glob(study.part_sheet("*").name)):
        table = read_rows(sheet)
        stems = (Path(image).name.removesuffix(image_name("")) for image in table["image"])
        names.update(zip(row_names(table), stems, strict=True))
    return names


def take_back(images: Path, study: Path, out: Path) -> list[Path]:
    """Bring `images/sub-*_scanner-*_T1w.nii.gz` onto native grids, into files of the same name in `out`.

    Intensities stay those of the images; 0 outside the scan's native brain mask. Raises `InputError`
    where there are none, or one has no transforms in `study`.
    """
    files = sorted(Path(images).glob(image_name(scan_name("*", "*"))))
    if not files:
        raise InputError(f"{images}: no sub-*_scanner-*_T1w.nii.gz in it; give results/RUN/images/METHOD")
    written = []
    prepared = StudyFolder(Path(study))
    sources = preprocessed_names(prepared)
    for file in progress(files, what="images taken back", total=len(files)):
        stem = file.name.removesuffix(image_name(""))
        name = sources.get(stem, stem)
        mask, affine = load_mask(prepared.native_mask(name))
        transforms = Transforms.of_folder(prepared.transforms(name))
        image, image_affine = load_image(file)
        if transforms.affine.exists():
            # extended, so that the brain's edge isn't mixed with the background's 0
            grid = Grid(image.shape, image_affine)
            image = carry_back(extended(image, image != 0), grid, transforms, Grid(mask.shape, affine))
        written.append(Path(out) / file.name)
        save_image(written[-1], np.where(mask, image, 0), affine)
    return written
