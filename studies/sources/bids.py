"""Source `bids`: native scans of a BIDS dataset, preprocessed a scan at a time.

Beside what every source has, it has `STEPS`: the study run does `step` for each scan and step first, as
jobs of their own, and `prepare` then takes up what they left.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import InputError, nearest, refuse_unknown
from core.run_folder import StudyFolder, image_name, mask_name, scan_name
from studies.bids.images import images_of_paths, read_images
from studies.bids.options import BidsOptions
from studies.bids.scans import BidsScan, study_scans
from studies.preprocessing.options import PreprocessOptions
from studies.preprocessing.steps import STEPS, outcome
from studies.sources import PlannedScan

SETTLED = "scans_found"
"""The key under which `settle` keeps a dataset's scans."""


def plan(options: Mapping[str, Any]) -> list[PlannedScan]:
    """The scans of a `BidsOptions` and `PreprocessOptions` in one mapping; opens no image."""
    return [PlannedScan(scan.subject, scan.scanner) for scan in _scans(options)]


def covariates(options: Mapping[str, Any]) -> list[str]:
    """The columns of the dataset's tables that go with its scans."""
    return sorted({name for scan in _scans(options) for name in scan.covariates})


def grid(options: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Voxels along each axis of the atlas's grid or, without registration, of the first scan that is there."""
    from core.images import open_image
    from studies.preprocessing.atlas import load_atlas

    _, preprocessing = split(options)
    if preprocessing.registration != "none":
        return load_atlas(preprocessing).grid.shape
    first = next((scan.image for scan in _scans(options) if scan.image.exists()), None)
    return None if first is None else open_image(first).shape[:3]


def bytes_beside(options: Mapping[str, Any]) -> float:
    """Of the preprocessed image and SyN's warps, a voxel and scan."""
    from core.jobs.disk_space import IMAGE, WARPS

    _, preprocessing = split(options)
    return IMAGE + (WARPS if preprocessing.registration == "syn" else 0)


def settle(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options with their scans, so that no job has to read a large dataset's folders again."""
    found = [dataclasses.asdict(scan) | {"image": str(scan.image)} for scan in _scans(options)]
    return {**options, SETTLED: found}


def check(options: Mapping[str, Any]) -> None:
    """Read every image that is there, given masks and the atlas; refuse what can't be used."""
    from core.images import check_same_grid, load_image
    from core.jobs.command import progress
    from studies.bids.checking import check_image
    from studies.preprocessing.arrays import reorient
    from studies.preprocessing.scan import find_deepbet, own_mask

    dataset, preprocessing = split(options)
    scans = _scans(options)
    check_preprocessing(preprocessing)
    if preprocessing.brain == "deepbet":
        find_deepbet()
    for scan in progress(scans, what="images read", total=len(scans)):
        if dataset.openneuro is not None and not scan.image.exists():
            continue
        check_image(scan.image)
        if preprocessing.registration == "none":
            check_same_grid(scan.image, scans[0].image)
        if preprocessing.brain in ("given", "stripped"):
            own_mask(scan.image, *reorient(*load_image(scan.image)), preprocessing, given_mask(scan, options))


def check_preprocessing(preprocessing: PreprocessOptions) -> None:
    """Refuse an atlas that can't be used."""
    from studies.preprocessing.atlas import load_atlas

    if preprocessing.registration != "none":
        load_atlas(preprocessing)


def step(name: str, options: Mapping[str, Any], subject: str, scanner: str, folder: Path) -> None:
    """Do one of `STEPS` for one scan, with files in `folder` as `studies.preprocessing.scan` says."""
    from studies.preprocessing.scan import register, resample

    dataset, preprocessing = split(options)
    scan = next((scan for scan in _scans(options) if (scan.subject, scan.scanner) == (subject, scanner)), None)
    if scan is None:
        raise InputError(f"{dataset.dataset}: no scan of subject {subject} on scanner {scanner} in this study")
    if name == "register":
        fetch(dataset, scan)
        register(scan.image, scan_name(subject, scanner), folder, preprocessing, given_mask(scan, options))
    else:
        resample(scan.image, scan_name(subject, scanner), folder, preprocessing)


def prepare(options: Mapping[str, Any], subject: str, folder: Path) -> Path:
    """Bring a subject's preprocessed scans onto the study's scale; scans whose steps failed are left out.

    Steps that were not yet done are done here, so that `prepare` alone does it all.
    """
    import pandas as pd

    from core.files import write_table
    from core.images import load_image, load_mask, save_image, save_labels, scale_to_mean

    planned = _scans(options)
    scans = [scan for scan in planned if scan.subject == subject]
    if not scans:
        raise InputError(f"subject '{subject}' is not in this study{nearest(subject, {s.subject for s in planned})}")
    folder = Path(folder)
    rows, reasons = [], []
    for scan in scans:
        name = scan_name(subject, scan.scanner)
        failure = outcome(folder, name)
        if failure is None:
            for which in STEPS:
                step(which, options, subject, scan.scanner, folder)
        elif failure:
            reasons.append(f"{scan.scanner}: {failure}")
            continue
        image, affine = load_image(StudyFolder(folder).preprocessed(name, "T1w.nii.gz"))
        mask, _ = load_mask(StudyFolder(folder).preprocessed(name, "mask.nii.gz"))
        try:
            image = scale_to_mean(image, mask, options.get("scale", "brain"))
        except InputError as error:
            raise InputError(f"{scan.image}: {error}") from None
        save_image(folder / image_name(name), image, affine)
        save_labels(folder / mask_name(name), mask, affine)
        rows.append(
            {
                "subject": subject,
                "scanner": scan.scanner,
                "image": image_name(name),
                "mask": mask_name(name),
                **scan.covariates,
            }
        )
    if not rows:
        raise InputError(
            f"subject {subject}: none of the scans could be preprocessed ({'; '.join(reasons)}); leave the subject "
            "out with `subjects`, or mend what is named"
        )
    sheet = StudyFolder(folder).part_sheet(subject)
    write_table(sheet, pd.DataFrame(rows))
    return sheet


def split(options: Mapping[str, Any]) -> tuple[BidsOptions, PreprocessOptions]:
    """The dataset's options and the preprocessing's, from a source's block of the configuration."""
    preprocessing = {field.name for field in dataclasses.fields(PreprocessOptions)}
    dataset = {field.name for field in dataclasses.fields(BidsOptions)}
    refuse_unknown(
        [key for key in options if key not in ("seed", "scale", SETTLED)], preprocessing | dataset, "study.bids: "
    )
    return (
        BidsOptions.from_json({key: value for key, value in options.items() if key in dataset}),
        PreprocessOptions.from_json({key: value for key, value in options.items() if key in preprocessing}),
    )


def given_mask(scan: BidsScan, options: Mapping[str, Any]) -> Path | None:
    """A scan's mask with `brain: given`, else None: the image's path, in `masks`, ending in `_desc-brain_mask`."""
    dataset, preprocessing = split(options)
    if preprocessing.brain != "given":
        return None
    inner = scan.image.relative_to(dataset.dataset)
    # the mask of an image that is a derivative itself has another `desc-`, not a second one
    stem = re.sub(r"_desc-[^_]+$", "", inner.name.partition("_T1w.nii")[0])
    base = Path(preprocessing.masks or dataset.dataset) / inner.parent
    for ending in ("_desc-brain_mask.nii.gz", "_desc-brain_mask.nii"):
        if (base / f"{stem}{ending}").exists():
            return base / f"{stem}{ending}"
    raise InputError(f"{base / stem}_desc-brain_mask.nii.gz: no such mask; brain: given wants one for every image")


def fetch(dataset: BidsOptions, scan: BidsScan) -> None:
    """Download a scan of a public dataset that isn't there yet, and refuse it if it can't be used."""
    if dataset.openneuro is not None and not scan.image.exists():
        from studies.bids.checking import check_image
        from studies.bids.openneuro import download

        download(dataset, scan.image)
        check_image(scan.image)


def _scans(options: Mapping[str, Any]) -> list[BidsScan]:
    if SETTLED in options:
        return [BidsScan(**{**scan, "image": Path(scan["image"])}) for scan in options[SETTLED]]
    dataset, _ = split(options)
    if dataset.openneuro is not None:
        from studies.bids.openneuro import listing

        images = images_of_paths(listing(dataset))
    else:
        images = read_images(dataset.dataset)
    return study_scans(dataset, images)
