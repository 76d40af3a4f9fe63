"""Source `sheet`: preprocessed scans of the user's own, listed in a `scans.tsv`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import InputError, refuse_unknown
from core.files import write_table
from core.images import load_image, load_mask, save_image, save_labels, scale_to_mean
from core.run_folder import StudyFolder, image_name, mask_name, scan_name
from core.sheet import REQUIRED, moved, read_rows, read_sheet
from studies.sources import PlannedScan

OPTIONS = ("scans", "seed", "scale")


def plan(options: Mapping[str, Any]) -> list[PlannedScan]:
    """The sheet's rows, without opening an image.

    Options: `scans`, the sheet's path; `scale`, what images are divided by.
    """
    rows = read_rows(_path(options))
    return [PlannedScan(subject, scanner) for subject, scanner in zip(rows["subject"], rows["scanner"], strict=True)]


def covariates(options: Mapping[str, Any]) -> list[str]:
    """The sheet's further columns."""
    return [column for column in read_rows(_path(options)).columns if column not in REQUIRED]


def grid(options: Mapping[str, Any]) -> tuple[int, ...]:
    """Voxels along each axis of the first scan, which all share."""
    return read_sheet(_path(options), check=False).shape


def check(options: Mapping[str, Any]) -> None:
    """Open every image and mask of the sheet; refuse what cannot be used, naming its row."""
    read_sheet(_path(options))


def prepare(options: Mapping[str, Any], subject: str, folder: Path) -> Path:
    """Bring one subject's scans onto the study's scale and write them as float32."""
    path = _path(options)
    study = read_sheet(path, check=False).select([subject])
    folder = Path(folder)
    rows = []
    for scan in study.scans:
        name = scan_name(subject, scan.scanner)
        mask = load_mask(scan.mask)[0]
        try:
            image = scale_to_mean(load_image(scan.image)[0], mask, options.get("scale", "brain"))
        except InputError as error:
            raise InputError(f"{path}: {scan.image}: {error}") from None
        save_image(folder / image_name(name), image, scan.affine)
        save_labels(folder / mask_name(name), mask, scan.affine)
        rows.append(
            {
                "subject": subject,
                "scanner": scan.scanner,
                "image": image_name(name),
                "mask": mask_name(name),
                **{column: moved(column, cell, scan.folder, folder) for column, cell in scan.covariates.items()},
            }
        )
    sheet = StudyFolder(folder).part_sheet(subject)
    write_table(sheet, pd.DataFrame(rows))
    return sheet


def inputs(options: Mapping[str, Any]) -> list[Path]:
    """The sheet, its images and its masks."""
    path = _path(options)
    scans = read_sheet(path, check=False).scans
    return [path, *dict.fromkeys(file for scan in scans for file in (scan.image, scan.mask))]


def _path(options: Mapping[str, Any]) -> Path:
    refuse_unknown(options, OPTIONS)
    if not options.get("scans"):
        raise InputError("study.sheet.scans: no sheet; name a TSV with the columns subject, scanner, image, mask")
    return Path(options["scans"])
