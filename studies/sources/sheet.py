"""Source `sheet`: preprocessed scans of the user's own, listed in a `scans.tsv`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.errors import InputError
from core.files import write_table
from core.images import load_mask, save_image, save_labels, voxel_volume_ml
from core.jobs.disk_space import IMAGE
from core.names import Scale
from core.paths import check_is_file
from core.run_folder import StudyFolder, image_name, mask_name, t2_name
from core.sheet import OWN, SESSION, T2, TIME, is_path, moved, read_rows, read_sheet
from studies.brain_size import POSSIBLE_ML
from studies.sources import PlannedScan

SELECTING = ("scans",)


@dataclass(frozen=True)
class Options:
    """What a study of one's own scans can be asked for.

    scans : the sheet, a TSV with the columns subject, scanner, image, mask, session where people were
        rescanned, time where they were followed up, t2 where scans have a T2-weighted image, and any covariates.
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
        PlannedScan(
            scan.subject,
            scan.scanner,
            scan.visit,
            files=(
                str(scan.image),
                str(scan.mask),
                *([str(scan.t2)] if scan.t2 else []),
                *(str(scan.folder / cell) for column, cell in scan.covariates.items() if is_path(column, cell)),
            ),
            covariates={SESSION: scan.session, **({TIME: f"{scan.time:g}"} if scan.time else {}), **scan.covariates},
            row=scan.row,
        )
        for scan in read_sheet(options.sheet, check=False).every
    ]


def covariates(options: Options) -> list[str]:
    """The sheet's further columns."""
    return [column for column in read_rows(options.sheet).columns if column not in OWN]


def grid(options: Options) -> tuple[int, ...]:
    """Voxels along each axis of the first scan, which all share."""
    return read_sheet(options.sheet, check=False).shape


def bytes_beside(options: Options) -> float:
    """Of T2-weighted images, a voxel and scan."""
    scans = read_sheet(options.sheet, check=False).every
    return IMAGE * sum(scan.t2 is not None for scan in scans) / len(scans)


def check(options: Options) -> None:
    """Open every image and mask of the sheet, and find its truth; refuse what cannot be used, naming its row.

    What lies outside a mask doesn't matter, so a whole head with its brain's mask will do; one whose mask is the head
    is refused.
    """
    scans = read_sheet(options.sheet, segmented=True).every
    for scan in scans:
        for column, cell in scan.covariates.items():
            if is_path(column, cell):
                try:
                    check_is_file(scan.folder / cell)
                except InputError as error:
                    raise InputError(f"{scan.row}, column {column}: {error}") from None
    for mask in dict.fromkeys(scan.mask for scan in scans):
        inside, affine = load_mask(mask)
        volume = inside.sum() * voxel_volume_ml(affine)
        if volume > POSSIBLE_ML[1]:
            raise InputError(
                f"{options.sheet}: {mask} holds {volume:.0f} mL, a brain has at most {POSSIBLE_ML[1]:.0f}: the sheet "
                "wants the brain's mask, not the head's; `python -m studies preprocess` finds brains in whole heads"
            )


def prepare(options: Options, subject: str, folder: Path) -> Path:
    """Bring one subject's scans onto the study's scale and write them as float32."""
    study = read_sheet(options.sheet, scale=options.scale, check=False).select([subject])
    folder = Path(folder)
    rows = []
    for scan in study.every:
        name = scan.name
        try:
            image = scan.read()
        except InputError as error:
            raise InputError(f"{options.sheet}: {scan.image}: {error}") from None
        save_image(folder / image_name(name), image, scan.affine)
        t2 = scan.read_t2()
        if t2 is not None:
            save_image(folder / t2_name(name), t2, scan.affine)
        save_labels(folder / mask_name(name), scan.read_mask(), scan.affine)
        rows.append(
            {
                "subject": subject,
                "scanner": scan.scanner,
                "image": image_name(name),
                "mask": mask_name(name),
                **({SESSION: scan.session} if scan.session else {}),
                **({TIME: f"{scan.time:g}"} if study.follow_ups else {}),
                **({} if t2 is None else {T2: t2_name(name)}),
                **{column: moved(column, cell, scan.folder, folder) for column, cell in scan.covariates.items()},
            }
        )
    sheet = StudyFolder(folder).part_sheet(subject)
    write_table(sheet, pd.DataFrame(rows))
    return sheet


def inputs(options: Options) -> list[Path]:
    """The sheet, and all files that it names."""
    return [options.sheet, *(Path(file) for scan in plan(options) for file in scan.files)]
