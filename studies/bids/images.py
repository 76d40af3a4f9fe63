"""The T1- and T2-weighted images of a BIDS dataset, and what their names and sidecars say."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from core.errors import InputError
from core.ids import check_id
from core.names import Contrast
from core.paths import check_is_file
from studies.bids.options import ENTITIES

if TYPE_CHECKING:
    from bids.layout import BIDSImageFile


NOT_RAW = re.compile(r"^/(derivatives|sourcedata|code|stimuli|models)(/|\Z)|/\.")
"""Folders that hold no raw images, and all that is hidden; what lies there is left out."""

OTHER_KINDS = re.compile(r"/(func|dwi|fmap|perf|pet|eeg|ieeg|meg|beh|micr)(/|\Z)")
"""Folders of other kinds of data than anatomical images."""

ELSEWHERE = re.compile(f"{NOT_RAW.pattern}|{OTHER_KINDS.pattern}")
"""What a public dataset holds beside that isn't worth listing."""

LARGEST_SIDECAR_BYTES = 10_000_000

ENDS: Mapping[Contrast, re.Pattern[str]] = {
    contrast: re.compile(rf"_({contrast})(\.nii(\.gz)?)\Z", re.IGNORECASE) for contrast in get_args(Contrast)
}
"""The end of an image's name by its contrast, also of one with capitals that BIDS hasn't."""


@dataclass(frozen=True)
class Image:
    """An image: where it lies in the dataset, and what its name says (`ses`, `acq`, `run`, ...)."""

    path: Path
    subject: str
    entities: Mapping[str, str]


def read_images(folder: Path | str) -> list[Image]:
    """All raw T1w images of the dataset in `folder`, in order of subject and file name.

    pybids finds them. Raises `InputError` for a folder that is no BIDS dataset, one without T1w images, and
    for what looks like a T1w image but isn't named or placed as BIDS has it, which pybids passes over.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{str(folder)[:200]}: no such folder; give a BIDS dataset")
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


def read_t2_images(folder: Path | str) -> list[Image]:
    """All raw T2w images of the dataset in `folder`, in order of subject and file name; often there are none.

    Their names alone tell; raises `InputError` for one that lies or is named otherwise than BIDS has it.
    """
    return images_of_paths(_paths_of_images(Path(folder), "T2w"), "T2w")


def _files(folder: Path, *, metadata: bool = False) -> dict[Path, BIDSImageFile]:
    """The T1w images that pybids finds, by their path in the dataset; `metadata`: with their sidecars."""
    from bids import BIDSLayout, BIDSLayoutIndexer

    _check_sidecars(folder, every=metadata)
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=metadata, ignore=[ELSEWHERE])
    try:
        layout = BIDSLayout(folder, validate=False, config=["bids", "derivatives"], indexer=indexer)
        return {Path(file.relpath): file for file in layout.get(suffix="T1w", extension=[".nii", ".nii.gz"])}
    except (ValueError, OSError, TypeError, RecursionError) as error:
        for sidecar in sorted(folder.rglob("*T1w.json")):
            _check_sidecar(sidecar)
        raise InputError(f"{folder}: cannot be read as a BIDS dataset ({error})") from None


def _paths_of_images(folder: Path, contrast: Contrast = "T1w") -> Iterator[str]:
    """Paths of files that end as an image's does, links to folders followed; refuses a folder that ends so."""
    end = ENDS[contrast]

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
            if end.search(name):
                raise InputError(f"{here / name}: a folder, named as an image is; rename it, or move it to sourcedata/")
        yield from ((inside / name).as_posix() for name in files if end.search(name))


def images_of_paths(paths: Iterable[str], contrast: Contrast = "T1w") -> list[Image]:
    """The images of a contrast among a dataset's paths, told by their names alone, in order of subject and file name.

    Raises `InputError` for an image that lies or is named otherwise than BIDS has it.
    """
    images = [
        _image(Path(path), ending[1], ending[2], contrast)
        for path in paths
        if (ending := ENDS[contrast].search(path)) and not NOT_RAW.search(f"/{path}")
    ]
    return sorted(images, key=lambda image: (image.subject, str(image.path)))


def _image(path: Path, suffix: str, extension: str, contrast: Contrast) -> Image:
    if (suffix, extension) != (contrast, extension.lower()):
        raise InputError(
            f"{path}: ends in '_{suffix}{extension}'; BIDS has '_{contrast}{extension.lower()}': rename it"
        )
    named = _entities(path.name)
    if len(path.parts) == 1 or not path.parts[0].startswith("sub-"):
        where = f"in the folder '{path.parts[0]}'" if len(path.parts) > 1 else "in the dataset's own folder"
        raise InputError(
            f"{path}: lies {where}, not in a subject's; move it to sub-{named.get('sub', 'LABEL')}/anat/, or to "
            "sourcedata/ if it isn't to be used"
        )
    if other := OTHER_KINDS.search(f"/{path}"):
        raise InputError(
            f"{path}: a {contrast} image in the folder '{other[1]}'; move it to anat/, or to sourcedata/ if it isn't "
            "for use"
        )
    # the folders' own names, whole: a label may hold an underscore there
    within = {part[:3]: part[4:] for part in path.parts[:-1][:2] if part.startswith(("sub-", "ses-"))}
    for entity, what in (("sub", "subject"), ("ses", "session")):
        if entity in within and named.get(entity, within[entity] if entity == "ses" else "") != within[entity]:
            raise InputError(
                f"{path}: lies in the folder '{entity}-{within[entity]}' and names {what} "
                f"'{named.get(entity, '')}'; BIDS wants "
                f"sub-LABEL/[ses-LABEL/]anat/sub-LABEL_[ses-LABEL_]..._{contrast}.nii.gz: move or rename it"
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


def _check_sidecars(folder: Path, *, every: bool) -> None:
    """Refuse what pybids would read of JSON and might never end with: no file, or far too much of it."""
    paths = folder.rglob("*.json") if every else [folder / "dataset_description.json"]
    for path in paths:
        if not ELSEWHERE.search(f"/{path.relative_to(folder).as_posix()}"):
            check_is_file(path)
            if path.stat().st_size > LARGEST_SIDECAR_BYTES:
                raise InputError(f"{path}: more than {LARGEST_SIDECAR_BYTES} bytes, which no sidecar has; correct it")


def _check_sidecar(sidecar: Path) -> None:
    """Refuse a sidecar that is no JSON object."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{sidecar}: cannot be read ({error.strerror}); fetch or restore it") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{sidecar}: not JSON as UTF-8 text ({error}); correct it or leave it out") from None
    if not isinstance(content, dict):
        raise InputError(
            f"{sidecar}: holds a {type(content).__name__}, not an object {{...}}; correct it or leave it out"
        )
