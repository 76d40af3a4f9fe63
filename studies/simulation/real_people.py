"""Simulated scanners on real brains: skull-stripped T1-weighted images of real people become anatomy.

Each person's image is brought onto the phantom's grid by an affine registration to the ICBM152 atlas
(antspyx), its tissue fractions are estimated (partial volumes of the engine `hmrf`), and these are
scanned on the simulated scanners like the phantom's. That gives real folding patterns, one a
person, with a truth: the fractions.

The spread of T1 within a tissue is drawn as for the phantom and not taken from the image: what is
left of an image beside its tissues is mostly its own scanner's noise and intensity field, which has
no place in the truth. White matter hyperintensities are left out, since a T1-weighted image alone
doesn't tell them from gray matter.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InputError
from core.images import brain_mask
from core.names import SEGMENTER_SCALE
from core.sheet import check_id
from studies.brain_size import POSSIBLE_ML
from studies.simulation.options import ScanOptions

if TYPE_CHECKING:
    import numpy as np

    from studies.simulation.anatomy import Anatomy


REGISTRATION_MM = 2.0
"""Voxels for finding the affine: twelve numbers don't need finer ones, and it is eight times as fast."""


@dataclass(frozen=True)
class SimulateOptions(ScanOptions):
    """A study on real people's anatomy: `ScanOptions` and where the people are.

    anatomy : a BIDS folder of skull-stripped T1-weighted images, or a TSV with the columns subject
        and image (relative to it); further columns are covariates.
    subjects : how many of the people found to use, in order of their ids; None for all.
    """

    anatomy: str | None = None
    subjects: int | None = None

    def __post_init__(self) -> None:
        if self.subjects is not None and self.subjects < 1:
            raise InputError(f"subjects: {self.subjects!r}; give how many people to use, 1 or more, or null for all")
        super().__post_init__()


@dataclass(frozen=True)
class Person:
    """Somebody whose brain is scanned: an id, an image file, covariates."""

    subject: str
    image: Path
    covariates: Mapping[str, str]


def find_people(options: SimulateOptions) -> list[Person]:
    """The people of `options.anatomy`, in order; raises `InputError` where there are none or two images for one."""
    if not options.anatomy:
        raise InputError(
            "anatomy: not named; give a BIDS folder of skull-stripped T1-weighted images: --config anatomy=FOLDER"
        )
    place = Path(options.anatomy)
    if not place.exists():
        raise InputError(f"anatomy: {place}: no such file or folder")
    people = _people_of_folder(place) if place.is_dir() else _people_of_list(place)
    people = people[: options.subjects]
    options.check_missing([person.subject for person in people])
    return people


def _people_of_folder(folder: Path) -> list[Person]:
    covariates = _participants(folder / "participants.tsv")
    found: dict[str, Path] = {}
    for image in sorted(folder.glob("sub-*/**/anat/*_T1w.nii*")):
        subject = check_id(image.relative_to(folder).parts[0].removeprefix("sub-"), str(folder))
        if subject in found:
            raise InputError(
                f"{folder}: two T1w images of subject {subject}, {found[subject].name} and {image.name}; "
                "list the one to use in a TSV with the columns subject and image"
            )
        found[subject] = image
    if not found:
        raise InputError(f"{folder}: no sub-*/anat/*_T1w.nii.gz in it; is it a BIDS dataset with T1w images?")
    return [Person(subject, image, covariates.get(subject, {})) for subject, image in found.items()]


def _participants(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    rows = _rows(path)
    if rows and "participant_id" not in rows[0]:
        raise InputError(f"{path}: no column participant_id, which BIDS wants")
    return {row.pop("participant_id").removeprefix("sub-"): row for row in rows}


def _people_of_list(path: Path) -> list[Person]:
    people: list[Person] = []
    for number, row in enumerate(_rows(path), start=2):
        if not row.get("subject") or not row.get("image"):
            raise InputError(f"{path}, row {number}: subject and image are needed in each row")
        subject = check_id(row.pop("subject"), f"{path}, row {number}")
        if subject in [person.subject for person in people]:
            raise InputError(f"{path}, row {number}: subject {subject} stands there twice; keep one image a person")
        people.append(Person(subject, path.parent / row.pop("image"), row))
    if not people:
        raise InputError(f"{path}: no rows; it needs the columns subject and image")
    return people


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a table of text ({error})") from None


def check_person(person: Person) -> None:
    """Refuse an image that can't be read or isn't a skull-stripped brain."""
    import numpy as np

    from core.images import load_image, voxel_volume_ml

    image, affine = load_image(person.image)
    broken = int(np.count_nonzero(~np.isfinite(image)))
    if broken:
        raise InputError(f"{person.image}: {broken} NaN or infinite voxels; repair it or leave the person out")
    volume = np.count_nonzero(image > 0) * voxel_volume_ml(affine)
    low, high = POSSIBLE_ML
    if not low <= volume <= high:
        raise InputError(
            f"{person.image}: {volume:.0f} mL are above 0, a skull-stripped brain has {low:.0f} to {high:.0f}; "
            "strip the skull and set the background to 0"
        )


def register(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A person's image (X, Y, Z), float32, and brain mask on the phantom's 1 mm grid.

    An affine registration with mutual information to the ICBM152 brain at the phantom's size, one
    thread and a fixed seed, so that it repeats.
    """
    # read when ITK is loaded: with more threads its sums, and so the affine, differ from run to run
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    import ants
    import numpy as np

    from core.images import load_image, save_image
    from studies.simulation.atlas_maps import atlas_brain
    from studies.simulation.grid import SHAPE, grid_affine

    with tempfile.TemporaryDirectory() as folder:

        def to_ants(voxels: np.ndarray, affine: np.ndarray) -> ants.ANTsImage:
            file = Path(folder) / "image.nii"
            save_image(file, voxels, affine)
            return ants.image_read(str(file))

        image, affine = load_image(path)
        mask = brain_mask(image)
        moving, moving_mask = to_ants(np.where(mask, image, 0), affine), to_ants(mask, affine)
        target = to_ants(*atlas_brain())
        grid = to_ants(np.zeros(SHAPE, np.float32), grid_affine(1.0))
        coarse = (REGISTRATION_MM,) * 3
        found = ants.registration(
            fixed=ants.resample_image(target, coarse),
            moving=ants.resample_image(moving, coarse),
            type_of_transform="Affine",
            outprefix=f"{folder}/affine",
            random_seed=1,
        )
        transforms = found["fwdtransforms"]
        on_grid = ants.apply_transforms(grid, moving, transforms, interpolator="linear").numpy()
        mask = ants.apply_transforms(grid, moving_mask, transforms, interpolator="linear").numpy() > 0.5
    return np.where(mask, on_grid, 0).astype(np.float32), mask


def make_anatomy(path: Path, seed: int, subject: str, *, threads: int = 1) -> Anatomy:
    """A real person's brain as anatomy for the simulated scanners, at 1 mm.

    Raises `InputError` for an image that can't be segmented.
    """
    import numpy as np

    from core.images import scale_to_mean
    from core.random_numbers import generator
    from segmentation import segment
    from studies.simulation.anatomy import compose
    from studies.simulation.atlas_maps import undeformed_maps

    image, mask = register(path)
    scaled = scale_to_mean(image, mask, "brain") * SEGMENTER_SCALE
    found = segment(scaled, mask, (1.0, 1.0, 1.0), threads=threads, partial_volumes=True, name=str(path))
    parts = found.posteriors if found.partial_volumes is None else found.partial_volumes
    fractions = parts[:, mask].astype(np.float32)
    # voxels that the skull-stripping set to 0 within the brain: no engine classes them, most are CSF
    fractions[0, fractions.sum(axis=0) < 0.5] = 1
    fractions /= fractions.sum(axis=0)
    lesions = np.zeros(fractions.shape[1], np.float32)
    return compose(generator(seed, "anatomy", subject), mask, fractions, undeformed_maps(mask), lesions)
