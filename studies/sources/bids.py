"""Source `bids`: native scans of a BIDS dataset, preprocessed a scan at a time.

The study run does `step` for each scan and each of `STEPS` first, as jobs of their own, and `prepare` then takes
up what they left.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import InputError, nearest
from core.libraries import EXTRAS
from core.names import MISSING, Scale
from core.run_folder import StudyFolder, image_name, mask_name, t2_name
from core.scan_quality import Flagged
from core.sheet import SESSION, T2, TIME
from studies.bids.description import dataset_card
from studies.bids.images import images_of_paths, read_images, read_t2_images
from studies.bids.options import BidsOptions
from studies.bids.scans import BidsScan, study_scans
from studies.preprocessing.options import DEFORMABLE, PreprocessOptions
from studies.preprocessing.steps import REGISTER, RESAMPLE, outcome
from studies.sources import ATLAS_SPACE, SETTLED, PlannedScan, Step

ENDINGS = ("T1w.nii.gz", "mask.nii.gz", "quality.json", "T2w.nii.gz", "T2w_to_T1w.mat")
"""The last two of scans with a T2-weighted image alone."""

STEPS = (
    Step(REGISTER, makes=("native/{scan}_mask.nii.gz", "transforms/{scan}"), threads="threads", minutes=240),
    Step(RESAMPLE, makes=tuple(f"preprocessed/{{scan}}_{ending}" for ending in ENDINGS)),
)

SELECTING = ("subjects", "select", "repeats", "scanners", "follow_up", "scans_found")


@dataclass(frozen=True)
class Options(BidsOptions, PreprocessOptions):
    """Which images of a dataset, and how they are preprocessed.

    scale : what each preprocessed image is divided by, see `core.images.scale_to_mean`.
    scans_found : the study's scans, as `settle` found them.
    """

    scale: Scale = "brain"
    scans_found: tuple[Mapping[str, Any], ...] | None = field(default=None, metadata=SETTLED)

    def __post_init__(self) -> None:
        BidsOptions.__post_init__(self)
        PreprocessOptions.__post_init__(self)


def plan(options: Options) -> list[PlannedScan]:
    """The dataset's scans; opens no image."""
    return [planned_scan(scan, options) for scan in _scans(options)]


def planned_scan(scan: BidsScan, options: Options) -> PlannedScan:
    """An image's scan as the run plans it; its session stands in the names of a rescan's or follow-up's files alone.

    An image that is still to be downloaded is no file that must be there.
    """
    mask = given_mask(scan, options)
    atlas = (options.atlas or {}).values()
    own = [] if options.openneuro else [scan.image, *([scan.t2] if scan.t2 else [])]
    files = [*own, *([mask] if mask else []), *atlas]
    return PlannedScan(
        scan.subject,
        scan.scanner,
        scan.named_session,
        files=tuple(map(str, files)),
        covariates={SESSION: scan.session, **({TIME: f"{scan.time:g}"} if scan.time else {}), **scan.covariates},
        row=str(scan.image),
    )


def covariates(options: Options) -> list[str]:
    """The columns of the dataset's tables that go with its scans."""
    return sorted({name for scan in _scans(options) for name in scan.covariates})


def grid(options: Options) -> tuple[int, ...] | None:
    """Voxels along each axis of the atlas's grid or, without registration, of the first scan that is there."""
    from core.nifti import open_nifti
    from studies.preprocessing.atlas import load_atlas

    if options.registration != "none":
        return load_atlas(options).grid.shape
    first = next((scan.image for scan in _scans(options) if scan.image.exists()), None)
    return None if first is None else open_nifti(first).shape


def bytes_beside(options: Options) -> float:
    """Of the preprocessed image, T2-weighted ones and the warps, a voxel and scan."""
    from core.jobs.disk_space import IMAGE, WARPS

    return IMAGE + 2 * IMAGE * options.t2 + (WARPS if options.registration in DEFORMABLE else 0)


def space(options: Options) -> str:
    """The atlas's, where scans were registered to the one that comes by default."""
    return ATLAS_SPACE if options.registration != "none" and options.atlas is None else ""


def libraries(options: Options) -> tuple[str, ...]:
    """Those of the steps that are asked for."""
    wanted = {
        "ants": options.registration != "none" or options.n4 or options.t2,
        "bids": True,
        "deepbet": options.brain in ("auto", "deepbet"),
        **dict.fromkeys(EXTRAS["greedy"], options.registration == "greedy"),
        "nilearn": options.registration != "none" and options.atlas is None,
        "pooch": options.openneuro is not None,
    }
    return tuple(name for name, needed in wanted.items() if needed)


def settle(options: Options) -> Options:
    """The options with their scans, so that no job has to read a large dataset's folders again."""
    found = (
        dataclasses.asdict(scan) | {"image": str(scan.image), "t2": scan.t2 and str(scan.t2)}
        for scan in _scans(options)
    )
    return dataclasses.replace(options, scans_found=tuple(found))


def check(options: Options) -> None:
    """Read every image that is there, given masks and the atlas; refuse what can't be used."""
    from core.images import check_same_grid
    from core.jobs.command import progress
    from studies.bids.checking import check_image
    from studies.preprocessing.arrays import reorient
    from studies.preprocessing.brain import own_mask, way_of

    scans = _scans(options)
    check_preprocessing(options)
    for scan in progress(scans, what="images read", total=len(scans)):
        if scan.t2 is not None and (options.openneuro is None or scan.t2.exists()):
            check_image(scan.t2)
        if options.openneuro is not None and not scan.image.exists():
            continue
        image, affine = reorient(*check_image(scan.image))
        if options.registration == "none":
            check_same_grid(scan.image, scans[0].image)
        if way_of(image, affine, options) in ("given", "stripped"):
            own_mask(scan.image, image, affine, options, given_mask(scan, options))


def check_preprocessing(options: PreprocessOptions) -> None:
    """Refuse an atlas that can't be used."""
    from studies.preprocessing.atlas import load_atlas

    if options.registration != "none":
        load_atlas(options)


def step(name: str, options: Options, scan: PlannedScan, folder: Path) -> None:
    """Do one of `STEPS` for one scan, with files in `folder` as `studies.preprocessing.scan` says."""
    from studies.preprocessing.scan import register, resample, resample_t2

    found = next((found for found in _scans(options) if planned_scan(found, options) == scan), None)
    if found is None:
        raise InputError(f"{options.dataset}: no scan of {scan.words} in this study")
    if name == REGISTER:
        fetch(options, found)
        register(found.image, scan.name, folder, options, given_mask(found, options))
    else:
        resample(found.image, scan.name, folder, options)
        if found.t2 is not None:
            resample_t2(found.t2, found.image, scan.name, folder, options)


def quality(folder: Path, scans: Sequence[PlannedScan], out: Path, flagged: Flagged) -> None:
    """Write numbers and flags of every planned scan that was preprocessed into `folder`, and what becomes of it."""
    from studies.preprocessing.quality_table import gather, write

    write(gather(folder, [(scan.subject, scan.scanner, scan.session) for scan in scans], flagged), out)


def prepare(options: Options, subject: str, folder: Path) -> Path:
    """Bring a subject's preprocessed scans onto the study's scale; scans whose steps failed are left out.

    So are those that the table of `quality`, where it was made, leaves out; scans that it refuses are an `InputError`.
    The sheet has a scan before its rescans, so that the first good rescan takes the place of a scan that failed,
    under its own session and file names (`core.sheet.rescanned`). Steps that were not yet done are done here, so
    that `prepare` alone does it all.
    """
    import pandas as pd

    from core.brain import brain_of
    from core.files import write_table
    from core.images import load_image, load_mask, save_image, save_labels, scale_to_mean
    from studies.preprocessing.quality_table import left_out

    planned = _scans(options)
    scans = [scan for scan in planned if scan.subject == subject]
    if not scans:
        raise InputError(f"subject '{subject}' is not in this study{nearest(subject, {s.subject for s in planned})}")
    folder = Path(folder)
    flagged = left_out(folder)
    rows, reasons = [], []
    for scan in scans:
        wanted = planned_scan(scan, options)
        name = wanted.name
        failure = flagged.get(name) or outcome(folder, name)
        if failure is None:
            for which in STEPS:
                step(which.name, options, wanted, folder)
        elif failure:
            reasons.append(f"{' '.join(filter(None, [wanted.scanner, wanted.session]))}: {failure}")
            continue
        image, affine = load_image(StudyFolder(folder).preprocessed(name, "T1w.nii.gz"))
        mask, _ = load_mask(StudyFolder(folder).preprocessed(name, "mask.nii.gz"))
        try:
            mask = brain_of(image, mask, str(scan.image))
            image = scale_to_mean(image, mask, options.scale)
        except InputError as error:
            raise InputError(f"{scan.image}: {error}") from None
        if scan.t2 is not None:
            t2, _ = load_image(StudyFolder(folder).preprocessed(name, "T2w.nii.gz"))
            try:
                save_image(folder / t2_name(name), scale_to_mean(t2, mask, options.scale), affine)
            except InputError as error:
                raise InputError(f"{scan.t2}: {error}") from None
        save_image(folder / image_name(name), image, affine)
        save_labels(folder / mask_name(name), mask, affine)
        rows.append(
            {
                "subject": subject,
                "scanner": scan.scanner,
                "image": image_name(name),
                "mask": mask_name(name),
                **({SESSION: scan.session} if scan.session else {}),
                **({TIME: f"{scan.time:g}"} if any(scan.time for scan in scans) else {}),
                **({T2: t2_name(name) if scan.t2 else MISSING} if options.t2 else {}),
                **scan.covariates,
            }
        )
    if all(float(row.get(TIME, 0)) for row in rows):
        raise InputError(
            f"subject {subject}: none of the {'first ' if rows else ''}scans can be used ({'; '.join(reasons)}); leave "
            "the subject out with `subjects`, or mend what is named"
        )
    sheet = StudyFolder(folder).part_sheet(subject)
    write_table(sheet, pd.DataFrame(rows))
    return sheet


def given_mask(scan: BidsScan, options: Options) -> Path | None:
    """A scan's mask with `brain: given`, else None: the image's path, in `masks`, ending in `_desc-brain_mask`."""
    if options.brain != "given":
        return None
    inner = scan.image.relative_to(options.folder)
    # the mask of an image that is a derivative itself has another `desc-`, not a second one
    stem = re.sub(r"_desc-[^_]+\Z", "", inner.name.partition("_T1w.nii")[0])
    base = Path(options.masks or options.folder) / inner.parent
    for ending in ("_desc-brain_mask.nii.gz", "_desc-brain_mask.nii"):
        if (base / f"{stem}{ending}").exists():
            return base / f"{stem}{ending}"
    raise InputError(f"{base / stem}_desc-brain_mask.nii.gz: no such mask; brain: given wants one for every image")


def fetch(dataset: BidsOptions, scan: BidsScan) -> None:
    """Download a scan of a public dataset, and the T2w image beside it, where they aren't there yet.

    Refuses them if they can't be used.
    """
    for image in (scan.image, scan.t2):
        if dataset.openneuro is not None and image is not None and not image.exists():
            from studies.bids.checking import check_image
            from studies.bids.openneuro import download

            download(dataset, image)
            check_image(image)


def _scans(options: Options) -> list[BidsScan]:
    if options.scans_found is not None:
        return [
            BidsScan(**{**scan, "image": Path(scan["image"]), "t2": Path(scan["t2"]) if scan["t2"] else None})
            for scan in options.scans_found
        ]
    if options.openneuro is not None:
        from studies.bids.openneuro import listing

        paths = listing(options)
        images, t2_images = images_of_paths(paths), images_of_paths(paths, "T2w") if options.t2 else []
    else:
        images, t2_images = read_images(options.folder), read_t2_images(options.folder) if options.t2 else []
    return study_scans(options, images, t2_images)


def card(options: Options) -> dict[str, str]:
    """What the dataset says of itself."""
    return dataset_card(Path(options.dataset or ""))
