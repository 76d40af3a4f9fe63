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

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from core.errors import InputError, nearest
from core.ids import check_id, check_told_apart
from core.images import brain_mask
from core.names import SEGMENTER_SCALE
from core.sheet import check_path, is_own
from core.tables import read_text_table, shown
from studies.brain_size import POSSIBLE_ML
from studies.simulation.options import FollowUp, RealFollowUp, ScanOptions

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

    FOLLOW_UP: ClassVar[type[FollowUp]] = RealFollowUp

    def __post_init__(self) -> None:
        if self.subjects is not None and self.subjects < 1:
            raise InputError(f"subjects: {self.subjects!r}; give how many people to use, 1 or more, or null for all")
        super().__post_init__()


@dataclass(frozen=True)
class Person:
    """Somebody whose brain is scanned: an id, an image file, covariates, and what errors call where they stand."""

    subject: str
    image: Path
    covariates: Mapping[str, str]
    where: str


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
    check_told_apart((str(folder), subject) for subject in found)
    return [
        Person(subject, image, covariates.get(subject, {}), f"{folder}, sub-{subject}")
        for subject, image in found.items()
    ]


def _participants(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    table = read_text_table(path)
    if "participant_id" not in table.columns:
        raise InputError(f"{path}: no column participant_id, which BIDS wants; it has {', '.join(table.columns)}")
    found: dict[str, dict[str, str]] = {}
    for place, row in enumerate(table.records()):
        subject = row.pop("participant_id").removeprefix("sub-")
        if subject in found:
            raise InputError(f"{table.where(place)}: subject {shown(subject)} stands there a second time; keep one row")
        found[subject] = _further(row)
    return found


def _further(row: Mapping[str, str]) -> dict[str, str]:
    """The columns of a person's row that are covariates: those that the sheet of scans has no use of its own for."""
    return {name: cell for name, cell in row.items() if not is_own(name)}


def _people_of_list(path: Path) -> list[Person]:
    table = read_text_table(path)
    for column in ("subject", "image"):
        if column not in table.columns:
            raise InputError(
                f"{path}: no column '{column}'{nearest(column, table.columns)}; it needs subject and image"
            )
    people: dict[str, Person] = {}
    for place, row in enumerate(table.records()):
        where = table.where(place)
        subject = check_id(row.pop("subject"), f"{where}, column subject")
        image = check_path(row.pop("image"), f"{where}, column image")
        if subject in people:
            raise InputError(f"{where}: subject {subject} stands there twice; keep one image a person")
        people[subject] = Person(subject, path.parent / image, _further(row), where)
    check_told_apart((person.where, person.subject) for person in people.values())
    if not people:
        raise InputError(f"{path}: no rows; it needs the columns subject and image")
    return list(people.values())


def check_person(person: Person) -> None:
    """Refuse an image that can't be read or isn't a skull-stripped brain."""
    import numpy as np

    from core.images import check_magnitude, load_image, voxel_volume_ml

    image, affine = load_image(person.image)
    broken = int(np.count_nonzero(~np.isfinite(image)))
    if broken:
        raise InputError(f"{person.image}: {broken} NaN or infinite voxels; repair it or leave the person out")
    check_magnitude(image, person.image)
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


def tissue_fractions(path: Path, *, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A real person's brain (X, Y, Z), bool, at 1 mm, and the fractions (3, n) of CSF, GM and WM in its n voxels.

    Raises `InputError` for an image that can't be segmented.
    """
    import numpy as np

    from core.images import scale_to_mean
    from segmentation import segment

    image, mask = register(path)
    scaled = scale_to_mean(image, mask, "brain") * SEGMENTER_SCALE
    found = segment(scaled, mask, (1.0, 1.0, 1.0), threads=threads, partial_volumes=True, name=str(path))
    parts = found.posteriors if found.partial_volumes is None else found.partial_volumes
    fractions = parts[:, mask].astype(np.float32)
    # voxels that the skull-stripping set to 0 within the brain: no engine classes them, most are CSF
    fractions[0, fractions.sum(axis=0) < 0.5] = 1
    fractions /= fractions.sum(axis=0)
    return mask, fractions


def make_anatomy(mask: np.ndarray, fractions: np.ndarray, seed: int, subject: str, *, lost: float = 0.0) -> Anatomy:
    """What `tissue_fractions` gives as anatomy for the simulated scanners, at 1 mm; `lost` is a share of the cortex."""
    import numpy as np

    from core.random_numbers import generator
    from studies.simulation.anatomy import compose
    from studies.simulation.atlas_maps import undeformed_maps
    from studies.simulation.atrophy import with_atrophy

    maps = undeformed_maps(mask)
    if lost:
        cortex = 1 - np.maximum(maps["deep"], np.maximum(maps["brainstem"], maps["pallidum"]))
        fractions = with_atrophy(fractions, mask, cortex, lost)
    lesions = np.zeros(fractions.shape[1], np.float32)
    return compose(generator(seed, "anatomy", subject), mask, fractions, maps, lesions)
