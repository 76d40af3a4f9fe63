"""Source `sheet`: preprocessed scans of the user's own, listed in a `scans.tsv`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from studies.errors import InputError, nearest
from studies.files import write_table
from studies.images import load_image, load_mask, save_image, save_labels, scale_to_mean
from studies.sheet import Study, check_scan, read_rows, read_sheet, scan_name
from studies.sources import PlannedScan

OPTIONS = ("scans", "seed", "scale")


def plan(options: Mapping[str, Any]) -> list[PlannedScan]:
    """The sheet's rows, without opening an image.

    Options: `scans`, the sheet's path; `scale`, what images are divided by.
    """
    rows = read_rows(_path(options))
    return [PlannedScan(subject, scanner) for subject, scanner in zip(rows["subject"], rows["scanner"], strict=True)]


def prepare(options: Mapping[str, Any], subject: str, folder: Path) -> Path:
    """Check one subject's scans, bring them onto the study's scale and write them as float32."""
    path = _path(options)
    study = read_sheet(path, check=False)
    _check(study, subject, path)
    folder = Path(folder)
    rows = []
    for scan in study.of_subject(subject):
        name = scan_name(subject, scan.scanner)
        mask = load_mask(scan.mask)[0]
        try:
            image = scale_to_mean(load_image(scan.image)[0], mask, options.get("scale", "brain"))
        except InputError as error:
            raise InputError(f"{path}: {scan.image}: {error}") from None
        save_image(folder / f"{name}_T1w.nii.gz", image, scan.affine)
        save_labels(folder / f"{name}_mask.nii.gz", mask, scan.affine)
        rows.append(
            {
                "subject": subject,
                "scanner": scan.scanner,
                "image": f"{name}_T1w.nii.gz",
                "mask": f"{name}_mask.nii.gz",
                **scan.covariates,
            }
        )
    sheet = folder / f"sub-{subject}.tsv"
    write_table(sheet, pd.DataFrame(rows))
    return sheet


def _path(options: Mapping[str, Any]) -> Path:
    for key in options:
        if key not in OPTIONS:
            raise InputError(f"unknown option '{key}'{nearest(key, OPTIONS)}")
    if not options.get("scans"):
        raise InputError("study.sheet.scans: no sheet; name a TSV with the columns subject, scanner, image, mask")
    return Path(options["scans"])


def _check(study: Study, subject: str, path: Path) -> None:
    """Refuse this subject's scans if any can't be used, naming its row."""
    if subject not in study.subjects:
        raise InputError(f"{path}: subject '{subject}' is not in the sheet{nearest(subject, study.subjects)}")
    for number, scan in enumerate(study.scans, start=2):
        if scan.subject == subject:
            check_scan(scan, study.scans[0], f"{path}, row {number}")
