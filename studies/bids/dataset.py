"""The T1-weighted images of a BIDS dataset, each with its subject, scanner and covariates."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from studies.bids.options import ENTITIES, TABLES, BidsOptions
from studies.errors import InputError, nearest
from studies.sheet import REQUIRED, check_id

ELSEWHERE = re.compile(
    r"^/(derivatives|sourcedata|code|stimuli|models|\.[^/]*)(/|$)|/(func|dwi|fmap|perf|pet|eeg|ieeg|meg|beh|micr)(/|$)"
)
"""Folders without raw T1w images; left out, since reading them is what takes long."""

MISSING_VALUES = ("", "n/a", "N/A")


@dataclass(frozen=True)
class Image:
    """A T1-weighted image: where it lies in the dataset, and what its name says (`ses`, `acq`, `run`, ...)."""

    path: Path
    subject: str
    entities: Mapping[str, str]
    model: str = ""


@dataclass(frozen=True)
class BidsScan:
    """An image that the study uses."""

    subject: str
    scanner: str
    image: Path
    covariates: Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """What a dataset holds for a study.

    scans : by (subject, scanner) its images, one where all is well, in the order of subjects and scanners.
    without_scanner : images that the chosen way gives no scanner.
    left_out : by value of scanners that aren't wanted, how many images have it.
    scanners : in order; of those wanted, the ones that some image is from.
    """

    scans: Mapping[tuple[str, str], tuple[Image, ...]]
    without_scanner: tuple[Image, ...]
    left_out: Mapping[str, int]
    scanners: tuple[str, ...]

    @property
    def subjects(self) -> list[str]:
        """Subjects in order."""
        return list(dict.fromkeys(subject for subject, _ in self.scans))

    @property
    def ambiguous(self) -> dict[tuple[str, str], tuple[Image, ...]]:
        """Subject and scanner of which there are several images."""
        return {key: images for key, images in self.scans.items() if len(images) > 1}

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Subject and scanner of which there is no image."""
        return [
            (subject, scanner)
            for subject in self.subjects
            for scanner in self.scanners
            if (subject, scanner) not in self.scans
        ]


def read_images(folder: Path | str, *, models: bool = False) -> list[Image]:
    """All raw T1w images of the dataset in `folder`, in order of subject and file name.

    With `models`, sidecars are read for ManufacturersModelName.  Raises `InputError` for a folder that is
    no BIDS dataset, one without T1w images, and a file whose name and folder name different subjects.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a BIDS dataset")
    if not (folder / "dataset_description.json").is_file():
        raise InputError(
            f"{folder}: no dataset_description.json in it, so it isn't a BIDS dataset; give the folder that holds "
            'the sub-* folders, with {"Name": "...", "BIDSVersion": "1.8.0"} in that file'
        )
    from bids import BIDSLayout, BIDSLayoutIndexer

    try:
        layout = BIDSLayout(
            folder,
            validate=False,
            config=["bids", "derivatives"],
            indexer=BIDSLayoutIndexer(validate=False, index_metadata=models, ignore=[ELSEWHERE]),
        )
        files = layout.get(suffix="T1w", extension=[".nii", ".nii.gz"])
        images = [
            _image(
                Path(file.relpath), file.get_entities(), str(file.get_metadata().get("ManufacturersModelName") or "")
            )
            for file in files
        ]
    except (ValueError, OSError, TypeError) as error:
        raise InputError(f"{folder}: cannot be read as a BIDS dataset ({error})") from None
    if not images:
        raise InputError(f"{folder}: no T1w image (sub-*/**/anat/*_T1w.nii or .nii.gz) in it; is it the right dataset?")
    return sorted(images, key=lambda image: (image.subject, str(image.path)))


def _image(path: Path, entities: Mapping[str, Any], model: str = "") -> Image:
    subject = path.parts[0].removeprefix("sub-")
    named = path.name.partition("_")[0].removeprefix("sub-")
    if not path.parts[0].startswith("sub-") or subject != named:
        raise InputError(
            f"{path}: lies in the folder '{path.parts[0]}' and names subject '{named}'; BIDS wants "
            "sub-LABEL/[ses-LABEL/]anat/sub-LABEL_..._T1w.nii.gz"
        )
    check_id(subject, str(path))
    kept = {short: str(entities[long]) for short, long in ENTITIES.items() if long in entities}
    return Image(path, subject, kept, model)


def images_of_paths(paths: Iterable[str]) -> list[Image]:
    """The T1w images among a dataset's paths, told by their names alone."""
    from bids.layout import parse_file_entities

    wanted = [
        Path(path) for path in paths if re.search(r"_T1w\.nii(\.gz)?$", path) and not ELSEWHERE.search(f"/{path}")
    ]
    images = [_image(path, parse_file_entities(f"/{path}")) for path in wanted]
    return sorted(images, key=lambda image: (image.subject, str(image.path)))


def find_scans(images: Sequence[Image], options: BidsOptions) -> Found:
    """Sort a dataset's images by subject and scanner, as the options say.

    Raises `InputError` for subjects or scanners wanted that the dataset hasn't, and for a table or a
    column of it that isn't there.
    """
    chosen = _of_subjects([image for image in images if _selected(image, options.select)], options)
    folder = Path(options.dataset)
    scans: dict[tuple[str, str], list[Image]] = {}
    without, left_out = [], {}
    values = scanner_values(folder, chosen, options.scanner or "")
    for image, value in zip(chosen, values, strict=True):
        if value in MISSING_VALUES:
            without.append(image)
        elif options.scanners and value not in options.scanners:
            left_out[value] = left_out.get(value, 0) + 1
        else:
            name = options.scanners.get(value, value)
            check_id(
                name, f"{folder}, scanner of {image.path} (name it otherwise with `scanners: {{'{value}': NAME}}`)"
            )
            scans.setdefault((image.subject, name), []).append(image)
    for wanted in options.scanners:
        if wanted not in values:
            raise InputError(f"scanners: no image of '{wanted}' in {folder}{nearest(wanted, set(values))}")
    order = list(dict.fromkeys(options.scanners.values())) or sorted({scanner for _, scanner in scans})
    subjects = list(dict.fromkeys(subject for subject, _ in scans))
    keys = [(subject, scanner) for subject in subjects for scanner in order if (subject, scanner) in scans]
    return Found(
        {key: tuple(_repeats(scans[key], options.repeats)) for key in keys},
        tuple(without),
        left_out,
        tuple(scanner for scanner in order if any(scanner == there for _, there in keys)),
    )


def _selected(image: Image, select: Mapping[str, tuple[str | None, ...]]) -> bool:
    return all(any(_same(image.entities.get(entity), value) for value in wanted) for entity, wanted in select.items())


def _same(found: str | None, wanted: str | None) -> bool:
    """Equal labels; numbers also with other leading zeros, as BIDS has it for an index such as the run."""
    if found is None or wanted is None:
        return found is wanted
    return found == wanted or (found.isdigit() and wanted.isdigit() and int(found) == int(wanted))


def _of_subjects(images: Sequence[Image], options: BidsOptions) -> list[Image]:
    subjects = list(dict.fromkeys(image.subject for image in images))
    if isinstance(options.subjects, tuple):
        for wanted in options.subjects:
            if wanted not in subjects:
                raise InputError(
                    f"subjects: '{wanted}' has no T1w image in {options.dataset}{nearest(wanted, subjects)}"
                )
        subjects = list(options.subjects)
    elif options.subjects is not None:
        subjects = subjects[: options.subjects]
    return [image for image in images if image.subject in subjects]


def _repeats(images: Sequence[Image], repeats: str) -> Sequence[Image]:
    ordered = sorted(images, key=lambda image: [(len(part), part) for part in _order(image)])
    return {"refuse": ordered, "first": ordered[:1], "last": ordered[-1:]}[repeats]


def _order(image: Image) -> list[str]:
    return [image.entities.get(entity, "") for entity in ("ses", "acq", "run")] + [image.path.name]


def scanner_values(folder: Path, images: Sequence[Image], way: str) -> list[str]:
    """What `way` (see `BidsOptions.scanner`) says of each image, "" where it says nothing.

    With `one`, or no way at all, every image is from one scanner, called "scanner".
    """
    if way in ("", "one"):
        return ["scanner"] * len(images)
    if way in ("ses", "acq"):
        return [image.entities.get(way, "") for image in images]
    if way == "model":
        return [image.model for image in images]
    table, _, column = way.partition(":")
    rows = [read_rows_of(folder, image, table) for image in images]
    known = sorted({name for row in rows for name in row})
    if column not in known:
        there = f"columns: {', '.join(known)}" if known else f"there is no {table}.tsv with rows for these images"
        raise InputError(f"{folder}: no column '{column}' in {table}.tsv ({there})")
    return [row.get(column, "").strip() for row in rows]


def covariates_of(folder: Path, image: Image) -> dict[str, str]:
    """What participants.tsv, sessions.tsv and scans.tsv say of an image, the later over the earlier.

    Columns whose names the sheet itself uses are left out.
    """
    found: dict[str, str] = {}
    for table in TABLES:
        found |= read_rows_of(folder, image, table)
    return {name: value or "n/a" for name, value in found.items() if name not in REQUIRED}


def read_rows_of(folder: Path, image: Image, table: str) -> dict[str, str]:
    """The row of an image in participants.tsv, its subject's sessions.tsv, or its scans.tsv; {} where there is none.

    Raises `InputError` for a table without the column that BIDS wants, or with two rows for one image.
    """
    subject, session = f"sub-{image.subject}", image.entities.get("ses")
    if table == "participants":
        place, key, wanted = folder / "participants.tsv", "participant_id", subject
    elif table == "sessions":
        if session is None:
            return {}
        place, key, wanted = folder / subject / f"{subject}_sessions.tsv", "session_id", f"ses-{session}"
    else:
        inner = [subject] + ([f"ses-{session}"] if session else [])
        place, key = folder.joinpath(*inner) / f"{'_'.join(inner)}_scans.tsv", "filename"
        wanted = image.path.relative_to(Path(*inner)).as_posix()
    if not place.is_file():
        return {}
    rows = _rows(str(place), place.stat().st_mtime_ns)
    if rows and key not in rows[0]:
        raise InputError(f"{place}: no column {key}, which BIDS wants")
    prefix = {"participants": "sub-", "sessions": "ses-", "scans": ""}[table]
    label = wanted.removeprefix(prefix)
    matching = [row for row in rows if (row[key] or "").removeprefix(prefix) == label]
    if len(matching) > 1:
        raise InputError(f"{place}: {len(matching)} rows for {wanted}; keep one")
    return {name: value or "" for name, value in matching[0].items() if name and name != key} if matching else {}


@cache
def _rows(path: str, changed: int) -> list[dict[str, str]]:
    """The rows of a table; `changed` is when it last was, so that a new one is read anew."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a table of text ({error})") from None


def study_scans(options: BidsOptions, images: Sequence[Image]) -> list[BidsScan]:
    """The scans of a study, one image each.

    Raises `InputError` where nothing tells scanners apart, an image has no scanner, or a subject has two
    images from one scanner.
    """
    folder = Path(options.dataset)
    if options.scanner is None:
        raise InputError(
            f"{folder}: what tells its scanners apart? Set `scanner`; `python -m studies bids {folder}` shows what "
            "each choice would give"
        )
    found = find_scans(images, options)
    if found.without_scanner:
        some = ", ".join(str(image.path) for image in found.without_scanner[:3])
        raise InputError(
            f"{folder}: `scanner: {options.scanner}` gives {len(found.without_scanner)} images no scanner ({some}); "
            "fill the gap, choose another way, or leave them out with `subjects` or `select`"
        )
    for (subject, scanner), repeated in found.ambiguous.items():
        names = ", ".join(str(image.path) for image in repeated)
        raise InputError(
            f"{folder}: {len(repeated)} images of subject {subject} on scanner {scanner}: {names}; choose with "
            f"{how_to_choose(repeated)}"
        )
    return [
        BidsScan(subject, scanner, folder / image.path, covariates_of(folder, image))
        for (subject, scanner), (image,) in found.scans.items()
    ]


def how_to_choose(images: Sequence[Image]) -> str:
    """The options that would choose one of these images."""
    for entity in ENTITIES:
        values = [image.entities.get(entity) for image in images]
        if len(set(values)) == len(values):
            shown = "null" if values[0] is None else values[0]
            return f"`select: {{{entity}: {shown}}}`, or `repeats: first` or `last`"
    return "`repeats: first` or `last`, or `scanner` by something that tells them apart"
