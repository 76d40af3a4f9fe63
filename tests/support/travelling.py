"""A small travelling-subject BIDS dataset made from the phantom, with what was done to each scan. Simulated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from studies.simulation.anatomy import coarsen, make_anatomy
from studies.simulation.people import make_subject
from studies.simulation.physics import make_scanners, tissues
from studies.simulation.scanner import true_image

SUBJECTS = ("001", "02")
SCANNERS = ("GE", "Philips", "Trio")
MISSING = ("02", "Philips")
SPACES = {
    # voxel edges in mm, rotation about each axis in degrees, shift in mm, storage orientation, bias at the ends
    "GE": ((3.0, 3.0, 3.0), (4, -6, 8), (6, -8, 5), "RAS", 0.20),
    "Philips": ((2.5, 3.0, 3.5), (-7, 3, -5), (-9, 4, -7), "LIA", 0.25),
    "Trio": ((3.5, 2.8, 2.8), (2, 8, -3), (3, 10, 8), "PSR", 0.15),
}


@dataclass(frozen=True)
class Truth:
    """What was done to a scan: `rigid` (4, 4) takes the person's own mm to the scanner's; `bias` (X, Y, Z) and
    `brain` are on the scan's grid, `affine`, before it was stored in another orientation."""

    rigid: np.ndarray
    affine: np.ndarray
    brain: np.ndarray
    bias: np.ndarray


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        first, second = (other for other in range(3) if other != axis)
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def make(folder: Path, *, stored: str = "float") -> dict[tuple[str, str], Truth]:
    """Write the dataset and return what was done, by subject and scanner."""
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text(json.dumps({"Name": "simulated", "BIDSVersion": "1.8.0"}))
    rows = ["participant_id\tage\tsimulated"]
    truths = {}
    for subject in SUBJECTS:
        person = make_subject(0, subject)
        rows.append(f"sub-{subject}\t{person.age}\tsimulated")
        anatomy = coarsen(make_anatomy(person, 0), 2)
        for scanner in make_scanners(SCANNERS):
            if (subject, scanner.name) == MISSING:
                continue
            image = true_image(anatomy, scanner, tissues()) * 500
            scan, truth = transported(image, anatomy.mask, anatomy.affine, *SPACES[scanner.name])
            noise = np.random.default_rng(len(truths)).normal(0, 6, scan.shape)
            scan = np.where(scan > 0, np.abs(scan + noise), 0).astype(np.float32)
            stem = f"sub-{subject}_ses-{scanner.name}_T1w.nii" + (".gz" if scanner.name != "Trio" else "")
            path = folder / f"sub-{subject}" / f"ses-{scanner.name}" / "anat" / stem
            path.parent.mkdir(parents=True)
            store(path, scan, truth.affine, SPACES[scanner.name][3], stored)
            truths[subject, scanner.name] = truth
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    return truths


def transported(image, mask, affine, edges, degrees, shift, orientation, size) -> tuple[np.ndarray, Truth]:
    """The image as a scanner in another place would show it, with a bias field, on voxels of these edges."""
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = rotation(degrees), shift
    shape = tuple(int(n) for n in np.ceil(np.array([170, 210, 180]) / edges))
    new = np.diag([*edges, 1.0])
    new[:3, 3] = -np.array(shape) * edges / 2 + [0, -15, 5]
    matrix = np.linalg.inv(affine) @ np.linalg.inv(rigid) @ new
    widened = ndimage.gaussian_filter(image, 0.4 * np.array(edges) / 2)
    moved = ndimage.affine_transform(widened, matrix[:3, :3], matrix[:3, 3], shape, order=1)
    brain = ndimage.affine_transform(mask.astype(np.float32), matrix[:3, :3], matrix[:3, 3], shape, order=1) > 0.5
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    bias = np.exp(size * (0.8 * x + 0.6 * y * z - 0.7 * z**2 + 0.4 * y))
    return np.where(brain, moved * bias, 0), Truth(rigid, new, brain, bias)


def store(path: Path, voxels: np.ndarray, affine: np.ndarray, orientation: str, stored: str) -> None:
    """Save an image in a storage orientation, as float, scaled int16 or big-endian float."""
    if stored == "int16":
        scale = float(voxels.max()) / 32000
        image = nib.Nifti1Image(np.round(voxels / scale).astype(np.int16), affine)
    else:
        image = nib.Nifti1Image(voxels, affine)
    target = nib.orientations.axcodes2ornt(orientation)
    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), target))
    if stored == "int16":
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
        image.header.set_slope_inter(scale, 0)
    elif stored == "big-endian":
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(">f4")
        image = nib.Nifti1Image(np.asarray(image.dataobj).astype(">f4"), image.affine, header)
    image.set_sform(image.affine, 1)
    nib.save(image, path)
