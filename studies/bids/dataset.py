"""The T1-weighted images of a BIDS dataset, each with its subject, scanner and covariates."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from studies.bids.options import ENTITIES, TABLES, BidsOptions
from studies.errors import InputError, nearest
from studies.sheet import REQUIRED, check_id

if TYPE_CHECKING:
    from bids.layout import BIDSImageFile

NOT_RAW = re.compile(r"^/(derivatives|sourcedata|code|stimuli|models)(/|$)|/\.")
"""Folders that hold no raw images, and all that is hidden; what lies there is left out."""

OTHER_KINDS = re.compile(r"/(func|dwi|fmap|perf|pet|eeg|ieeg|meg|beh|micr)(/|$)")
"""Folders of other kinds of data than anatomical images."""

ELSEWHERE = re.compile(f"{NOT_RAW.pattern}|{OTHER_KINDS.pattern}")
"""What a public dataset holds beside that isn't worth listing."""

T1W = re.compile(r"_(T1w)(\.nii(\.gz)?)$", re.IGNORECASE)
"""The end of a T1w image's name, also of one with capitals that BIDS hasn't."""

MISSING_VALUES = ("", "n/a", "N/A")


@dataclass(frozen=True)
class Image:
    """A T1-weighted image: where it lies in the dataset, and what its name says (`ses`, `acq`, `run`, ...)."""

    path: Path
    subject: str
    entities: Mapping[str, str]


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


def read_images(folder: Path | str) -> list[Image]:
    """All raw T1w images of the dataset in `folder`, in order of subject and file name.

    pybids finds them.  Raises `InputError` for a folder that is no BIDS dataset, one without T1w images, and
    for what looks like a T1w image but isn't named or placed as BIDS has it, which pybids passes over.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a BIDS dataset")
    if not (folder / "dataset_description.json").is_file():
        raise InputError(
            f"{folder}: no dataset_description.json in it, so it isn't a BIDS dataset; give the folder that holds "
            'the sub-* folders, with {"Name": "...", "BIDSVersion": "1.8.0"} in that file'
        )
    looked_at = images_of_paths(_paths_of_images(folder))
    if not looked_at:
        raise InputError(f"{folder}: no T1w image (sub-*/**/anat/*_T1w.nii or .nii.gz) in it; is it the right dataset?")
    known = _files(folder)
    for image in looked_at:
        if image.path not in known:
            raise InputError(
                f"{folder / image.path}: its name isn't one that BIDS has; labels are letters and digits: rename it"
            )
    return looked_at


def _files(folder: Path, *, metadata: bool = False) -> dict[Path, BIDSImageFile]:
    """The T1w images that pybids finds, by their path in the dataset; `metadata`: with their sidecars."""
    from bids import BIDSLayout, BIDSLayoutIndexer

    indexer = BIDSLayoutIndexer(validate=False, index_metadata=metadata, ignore=[ELSEWHERE])
    try:
        layout = BIDSLayout(folder, validate=False, config=["bids", "derivatives"], indexer=indexer)
        return {Path(file.relpath): file for file in layout.get(suffix="T1w", extension=[".nii", ".nii.gz"])}
    except (ValueError, OSError, TypeError) as error:
        for sidecar in sorted(folder.rglob("*T1w.json")):
            _check_sidecar(sidecar)
        raise InputError(f"{folder}: cannot be read as a BIDS dataset ({error})") from None


def _paths_of_images(folder: Path) -> Iterator[str]:
    """Paths of files that end as a T1w image's does, links to folders followed; refuses a folder that ends so."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed ({error.strerror}); correct its permissions")

    for place, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        here = Path(place)
        inside = here.relative_to(folder)
        folders[:] = [
            name
            for name in sorted(folders)
            if not NOT_RAW.search(f"/{(inside / name).as_posix()}")
            # a link to a folder that it lies in would be followed for ever
            and not ((here / name).is_symlink() and here.resolve().is_relative_to((here / name).resolve()))
        ]
        for name in folders:
            if T1W.search(name):
                raise InputError(f"{here / name}: a folder, named as an image is; rename it, or move it to sourcedata/")
        yield from ((inside / name).as_posix() for name in files if T1W.search(name))


def images_of_paths(paths: Iterable[str]) -> list[Image]:
    """The T1w images among a dataset's paths, told by their names alone, in order of subject and file name.

    Raises `InputError` for a T1w image that lies or is named otherwise than BIDS has it.
    """
    wanted = [Path(path) for path in paths if T1W.search(path) and not NOT_RAW.search(f"/{path}")]
    return sorted((_image(path) for path in wanted), key=lambda image: (image.subject, str(image.path)))


def _image(path: Path) -> Image:
    suffix, extension = T1W.search(path.name).group(1, 2)
    if (suffix, extension) != ("T1w", extension.lower()):
        raise InputError(f"{path}: ends in '_{suffix}{extension}'; BIDS has '_T1w{extension.lower()}': rename it")
    named = _entities(path.name)
    if len(path.parts) == 1 or not path.parts[0].startswith("sub-"):
        where = f"in the folder '{path.parts[0]}'" if len(path.parts) > 1 else "in the dataset's own folder"
        raise InputError(
            f"{path}: lies {where}, not in a subject's; move it to sub-{named.get('sub', 'LABEL')}/anat/, or to "
            "sourcedata/ if it isn't to be used"
        )
    if other := OTHER_KINDS.search(f"/{path}"):
        raise InputError(
            f"{path}: a T1w image in the folder '{other[1]}'; move it to anat/, or to sourcedata/ if it isn't for use"
        )
    # the folders' own names, whole: a label may hold an underscore there
    within = {part[:3]: part[4:] for part in path.parts[:-1][:2] if part.startswith(("sub-", "ses-"))}
    for entity, what in (("sub", "subject"), ("ses", "session")):
        if entity in within and named.get(entity, within[entity] if entity == "ses" else "") != within[entity]:
            raise InputError(
                f"{path}: lies in the folder '{entity}-{within[entity]}' and names {what} "
                f"'{named.get(entity, '')}'; BIDS wants "
                "sub-LABEL/[ses-LABEL/]anat/sub-LABEL_[ses-LABEL_]..._T1w.nii.gz: move or rename it"
            )
    subject = within["sub"]
    check_id(subject, str(path))
    found = within | named
    return Image(path, subject, {entity: found[entity] for entity in ENTITIES if entity in found})


def _entities(name: str) -> dict[str, str]:
    """The key-value pairs of a file's name, labels whole: somebody's session may be `2020-01-01`.

    Our own, since pybids cuts a label at its first character that is no letter or digit: `acq-GE-750` and
    `acq-GE-450` would both be `GE`.
    """
    pairs = (part.partition("-") for part in name.split("_")[:-1])
    return {key: label for key, hyphen, label in pairs if hyphen}


def find_scans(images: Sequence[Image], options: BidsOptions) -> Found:
    """Sort a dataset's images by subject and scanner, as the options say.

    Raises `InputError` for subjects or scanners wanted that the dataset hasn't, and for a table or a
    column of it that isn't there.
    """
    chosen = chosen_images(images, options)
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


def chosen_images(images: Sequence[Image], options: BidsOptions) -> list[Image]:
    """The images that `subjects` and `select` leave; `InputError` where nothing is left of what was asked for."""
    if isinstance(options.subjects, tuple):
        there = {image.subject for image in images}
        for wanted in options.subjects:
            if wanted not in there:
                raise InputError(f"subjects: '{wanted}' has no T1w image in {options.dataset}{nearest(wanted, there)}")
    selected = [image for image in images if _selected(image, options.select)]
    if images and not selected:
        values = (f"{entity} is {', '.join(_values(images, entity))}" for entity in options.select)
        raise InputError(
            f"select: leaves none of the {len(images)} images in {options.dataset}, of which {'; '.join(values)}"
        )
    subjects = list(dict.fromkeys(image.subject for image in selected))
    if isinstance(options.subjects, tuple):
        for wanted in options.subjects:
            if wanted not in subjects:
                raise InputError(
                    f"subjects: `select` leaves no T1w image of '{wanted}'; leave out or widen one of them"
                )
        subjects = list(options.subjects)
    elif options.subjects is not None:
        subjects = subjects[: options.subjects]
    return [image for image in selected if image.subject in subjects]


def _values(images: Sequence[Image], entity: str) -> list[str]:
    """What an entity is in the images' names, null where it isn't there."""
    return sorted({image.entities.get(entity, "null") for image in images})


def _selected(image: Image, select: Mapping[str, tuple[str | None, ...]]) -> bool:
    return all(any(_same(image.entities.get(entity), value) for value in wanted) for entity, wanted in select.items())


def _same(found: str | None, wanted: str | None) -> bool:
    """Equal labels; numbers also with other leading zeros, as BIDS has it for an index such as the run."""
    if found is None or wanted is None:
        return found is wanted
    return found == wanted or (found.isdecimal() and wanted.isdecimal() and int(found) == int(wanted))


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
        return models_of(folder, images)
    table, _, column = way.partition(":")
    rows = [read_rows_of(folder, image, table) for image in images]
    known = sorted({name for row in rows for name in row})
    if column not in known:
        there = f"columns: {', '.join(known)}" if known else _why_no_rows(folder, images, table)
        raise InputError(f"{folder}: no column '{column}' in {table}.tsv ({there})")
    return [row.get(column, "").strip() for row in rows]


def _why_no_rows(folder: Path, images: Sequence[Image], table: str) -> str:
    """Why no image has a row with columns in a table."""
    for image in images:
        place, key, wanted = _row_of(folder, image, table)
        rows = _rows(str(place), place.stat().st_mtime_ns) if place.is_file() else []
        if rows and len(rows[0]) == 1:
            return f"{place} has no column but {key}"
        if rows:
            other = max((row[key] for row in rows), key=lambda name: "T1w" in name)
            return f"{place} has no row of {wanted}, but one of '{other}', which is no image here; correct its {key}"
    return f"there is no {table}.tsv with rows for these images"


def models_of(folder: Path, images: Sequence[Image]) -> list[str]:
    """ManufacturersModelName of each image by its sidecars, as they inherit it, "" where they have none.

    "" also for an image with a label that pybids would cut, to which it might give another's sidecar.
    Raises `InputError` for a sidecar that can't be read.
    """
    files = _files(folder, metadata=True)
    found = [
        files[image.path].get_metadata()
        if all(label.isascii() and label.isalnum() for label in image.entities.values())
        else {}
        for image in images
    ]
    return [str(metadata.get("ManufacturersModelName") or "").strip() for metadata in found]


def _check_sidecar(sidecar: Path) -> None:
    """Refuse a sidecar that is no JSON object."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{sidecar}: cannot be read ({error.strerror}); fetch or restore it") from None
    except ValueError as error:
        raise InputError(f"{sidecar}: not JSON as UTF-8 text ({error}); correct it or leave it out") from None
    if not isinstance(content, dict):
        raise InputError(
            f"{sidecar}: holds a {type(content).__name__}, not an object {{...}}; correct it or leave it out"
        )


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
    place, key, wanted = _row_of(folder, image, table)
    if not place.is_file():
        if place.is_symlink():
            raise InputError(f"{place}: a broken link; fetch its content with `git annex get` or `datalad get`")
        return {}
    rows = _rows(str(place), place.stat().st_mtime_ns)
    if rows and key not in rows[0]:
        raise InputError(
            f"{place}: no column {key} (columns: {', '.join(rows[0])}); BIDS wants it, and tabs between columns"
        )
    prefix = {"participants": "sub-", "sessions": "ses-", "scans": ""}[table]
    label = wanted.removeprefix(prefix)
    matching = [row for row in rows if label and row[key].removeprefix(prefix) == label]
    if len(matching) > 1:
        raise InputError(f"{place}: {len(matching)} rows for {wanted}; keep one")
    return {name: value for name, value in matching[0].items() if name and name != key} if matching else {}


def _row_of(folder: Path, image: Image, table: str) -> tuple[Path, str, str]:
    """The file of a table that should have an image's row, the column that names the row, and its name there."""
    subject = f"sub-{image.subject}"
    if table == "participants":
        return folder / "participants.tsv", "participant_id", subject
    if table == "sessions":
        return folder / subject / f"{subject}_sessions.tsv", "session_id", f"ses-{image.entities.get('ses', '')}"
    inner = [part for part in image.path.parts[:-1][:2] if part.startswith(("sub-", "ses-"))]
    return (
        folder.joinpath(*inner, f"{'_'.join(inner)}_scans.tsv"),
        "filename",
        image.path.relative_to(Path(*inner)).as_posix(),
    )


@cache
def _rows(path: str, changed: int) -> list[dict[str, str]]:
    """The rows of a table, cells stripped; `changed` is when it last was, so that a new one is read anew.

    Raises `InputError` for what is no such table, or would lose cells or rows without a word.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream, delimiter="\t") if line]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8 ({error}); save it anew as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}: not a table ({error}); correct or shorten that cell, or close its quotes") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); correct its permissions") from None
    for line in lines:
        if broken := next((cell for cell in line if "\n" in cell or "\r" in cell), None):
            raise InputError(
                f"{path}: a cell of several lines, beginning {broken[:30]!r}; close or remove the quote before it"
            )
    if not lines:
        return []
    header, *rows = [[cell.strip() for cell in line] for line in lines]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise InputError(f"{path}: {header.count(twice[0])} columns '{twice[0]}'; rename or remove all but one")
    for row in rows:
        if any(row[len(header) :]):
            raise InputError(
                f"{path}: {len(row)} cells in the row of '{row[0]}', the header has {len(header)}; "
                "name every column, or remove the tab too many"
            )
    return [dict(zip_longest(header, row[: len(header)], fillvalue="")) for row in rows]


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
            f"{how_to_choose(repeated, options.scanner)}"
        )
    return [
        BidsScan(subject, scanner, folder / image.path, covariates_of(folder, image))
        for (subject, scanner), (image,) in found.scans.items()
    ]


def how_to_choose(images: Sequence[Image], scanner: str | None) -> str:
    """The options that would choose one of these images, which `scanner` takes for one scanner's."""
    for entity in ENTITIES:
        values = [image.entities.get(entity) for image in images]
        if len(set(values)) == len(values):
            shown = "null" if values[0] is None else values[0]
            choice = f"`select: {{{entity}: {shown}}}`, or `repeats: first` or `last`"
            if entity == scanner:
                return f"a name for each {entity} in `scanners` if they are different scanners, else {choice}"
            if entity in ("ses", "acq") and scanner in (None, "one"):
                return f"`scanner: {entity}` if it tells scanners apart, else {choice}"
            return choice
    return "`repeats: first` or `last`, or `scanner` by something that tells them apart"
