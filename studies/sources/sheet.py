"""Source `sheet`: preprocessed scans of the user's own, listed in a `scans.tsv`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.errors import InputError
from core.files import write_table
from core.images import load_image, load_mask, save_image, save_labels, scale_to_mean
from core.names import Scale
from core.paths import check_is_file
from core.run_folder import StudyFolder, image_name, mask_name
from core.sheet import REQUIRED, SESSION, is_path, moved, read_rows, read_sheet
from studies.sources import PlannedScan


@dataclass(frozen=True)
class Options:
    """What a study of one's own scans can be asked for.

    scans : the sheet, a TSV with the columns subject, scanner, image, mask, session where people were
        rescanned, and any covariates.
    scale : what each image is divided by, see `core.images.scale_to_mean`.
    """

    scans: str | None = None
    scale: Scale = "brain"

    def __post_init__(self) -> None:
        if not self.scans:
            raise InputError("study.sheet.scans: no sheet; name a TSV with the columns subject, scanner, image, mask")

    @property
    def sheet(self) -> Path:
        """`scans` as a path."""
        return Path(self.scans or "")


def plan(options: Options) -> list[PlannedScan]:
    """The sheet's rows, without opening an image."""
    return [
        PlannedScan(scan.subject, scan.scanner, scan.session if scan.rescan else "", scan.covariates, scan.row)
        for scan in read_sheet(options.sheet, check=False).every
    ]


def covariates(options: Options) -> list[str]:
    """The sheet's further columns."""
    return [column for column in read_rows(options.sheet).columns if column not in (*REQUIRED, SESSION)]


def grid(options: Options) -> tuple[int, ...]:
    """Voxels along each axis of the first scan, which all share."""
    return read_sheet(options.sheet, check=False).shape


def check(options: Options) -> None:
    """Open every image and mask of the sheet, and find its truth; refuse what cannot be used, naming its row."""
    for scan in read_sheet(options.sheet).every:
        for column, cell in scan.covariates.items():
            if is_path(column, cell):
                try:
                    check_is_file(scan.folder / cell)
                except InputError as error:
                    raise InputError(f"{scan.row}, column {column}: {error}") from None


def prepare(options: Options, subject: str, folder: Path) -> Path:
    """Bring one subject's scans onto the study's scale and write them as float32."""
    study = read_sheet(options.sheet, check=False).select([subject])
    folder = Path(folder)
    rows = []
    for scan in study.every:
        name = scan.name
        mask = load_mask(scan.mask)[0]
        try:
            image = scale_to_mean(load_image(scan.image)[0], mask, options.scale)
        except InputError as error:
            raise InputError(f"{options.sheet}: {scan.image}: {error}") from None
        save_image(folder / image_name(name), image, scan.affine)
        save_labels(folder / mask_name(name), mask, scan.affine)
        rows.append(
            {
                "subject": subject,
                "scanner": scan.scanner,
                "image": image_name(name),
                "mask": mask_name(name),
                **({SESSION: scan.session} if scan.session else {}),
                **{column: moved(column, cell, scan.folder, folder) for column, cell in scan.covariates.items()},
            }
        )
    sheet = StudyFolder(folder).part_sheet(subject)
    write_table(sheet, pd.DataFrame(rows))
    return sheet


def inputs(options: Options) -> list[Path]:
    """The sheet, its images and its masks."""
    scans = read_sheet(options.sheet, check=False).every
    return [options.sheet, *dict.fromkeys(file for scan in scans for file in (scan.image, scan.mask))]
