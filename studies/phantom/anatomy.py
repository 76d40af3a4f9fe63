"""People made up from the ICBM152 atlas: shape, tissue fractions, what each voxel is made of.

The atlas is the ICBM152 2009a nonlinear symmetric one that nilearn's wheel carries (no download;
its notice is in `LICENSE-ICBM152.txt`). Its brain is 28 % larger than an adult's, so it is scaled by
0.92. Every subject is made at 1 mm; a 2 mm one is the block average of it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from studies.errors import InputError
from studies.images import voxel_volume_ml
from studies.phantom.random_fields import enlarge, generator, random_field

SHAPE = (152, 192, 160)
"""Voxels of the grid at 1 mm."""

ORIGIN_MM = np.array([-76.0, -111.0, -75.0])
"""The grid's lower corner in the space of the scaled atlas."""

ATLAS_SCALE = 0.92

COARSE = 4
"""mm; grid of deformations and other smooth fields."""

TISSUES = ("CSF", "GM", "WM")

COMPARTMENTS = {
    "csf": "CSF",
    "vessels": "CSF",
    "cortical_gm": "GM",
    "deep_gm": "GM",
    "pallidum": "GM",
    "wm": "WM",
    "wm_hyperintensity": "WM",
}
"""What a voxel is made of, and the tissue that each counts as."""

SULCAL_VESSELS = 0.15
"""Share of vessels and meninges in the CSF outside the ventricles, on average; it varies from place to place."""

VESSELS_MM = 3.0
"""Scale of that variation."""

GM_T1_SPREAD = 0.07
WM_T1_SPREAD = 0.06
"""SD of T1 within a tissue, relative; the same on every scanner."""

SPREAD_MM = 2.5
"""Scale of that spread."""


SHARPNESS = 4.0
"""An average of many brains is blurred; this exponent on its probabilities makes one brain of it."""

FOLDS = ((0.30, 2.0), (0.25, 5.0))
"""Size and scale in mm of the random fields that move a subject's tissue borders."""

CORTEX_SHIFTS = ((0.60, 1.05), (-0.10, -0.30), (0.12, 0.0))
"""By tissue: what is added to its log probability outside the deep nuclei, without and with atrophy."""


@dataclass(frozen=True)
class Subject:
    """A made-up person. `severity` of atrophy is about 0 (none) to 1 (severe)."""

    id: str
    age: float
    sex: str
    diagnosis: str
    severity: float


@dataclass(frozen=True)
class Anatomy:
    """What a brain is made of, voxel by voxel.

    Attributes
    ----------
    mask : bool (X, Y, Z), the n voxels of the brain.
    affine : voxel to mm, (4, 4).
    compartments : for each of `COMPARTMENTS` the part of the voxel it fills, float32 (n,), in the
        order of the mask's voxels; they sum to 1.
    gm_t1, wm_t1 : float32 (n,), T1 over the tissue's own in the voxel's GM and WM.
    """

    mask: np.ndarray
    affine: np.ndarray
    compartments: dict[str, np.ndarray]
    gm_t1: np.ndarray
    wm_t1: np.ndarray

    @property
    def voxel_size_mm(self) -> float:
        """Edge of a voxel."""
        return float(abs(self.affine[0, 0]))

    def fractions(self) -> np.ndarray:
        """The truth: fractions (3, n) of CSF, GM and WM in the brain's voxels."""
        sums = np.zeros((3, self.gm_t1.size), dtype=np.float32)
        for name, tissue in COMPARTMENTS.items():
            sums[TISSUES.index(tissue)] += self.compartments[name]
        return sums

    def labels(self) -> np.ndarray:
        """The tissue that fills most of each voxel: uint8 (X, Y, Z), 0 none, 1 CSF, 2 GM, 3 WM."""
        labels = np.zeros(self.mask.shape, dtype=np.uint8)
        labels[self.mask] = self.fractions().argmax(axis=0) + 1
        return labels

    def volumes_ml(self) -> dict[str, float]:
        """True volume of each tissue, the sum of its fractions, in mL."""
        sums = self.fractions().sum(axis=1, dtype=np.float64) * voxel_volume_ml(self.affine)
        return dict(zip(TISSUES, map(float, sums), strict=True))

    def dense(self, values: np.ndarray) -> np.ndarray:
        """Values (n,) of the brain's voxels as an image (X, Y, Z), 0 outside."""
        image = np.zeros(self.mask.shape, dtype=np.float32)
        image[self.mask] = values
        return image


def grid_affine(voxel_size_mm: float) -> np.ndarray:
    """Voxel to mm of the grid at this voxel size; the box is the same at every size."""
    affine = np.diag([voxel_size_mm, voxel_size_mm, voxel_size_mm, 1.0])
    affine[:3, 3] = ORIGIN_MM + voxel_size_mm / 2
    return affine


def make_subject(seed: int, subject: str) -> Subject:
    """Who this subject is: it depends on the seed and the id alone.

    Age and diagnoses as in the paper (section 4.1): 51 to 78 years, 44 % male, 44 % healthy.
    """
    random = generator(seed, "subject", subject)
    while not 51 <= (age := random.normal(69, 7)) <= 78:
        pass
    diseased = random.random() < 0.56
    male = random.random() < 0.44
    severity = 0.5 * (age - 50) / 28 + 0.45 * diseased + random.normal(0, 0.12)
    return Subject(
        id=subject,
        age=round(age, 1),
        sex="M" if male else "F",
        diagnosis="AD" if diseased else "healthy",
        severity=float(np.clip(severity, 0, 1.2)),
    )


def make_anatomy(subject: Subject, seed: int) -> Anatomy:
    """The subject's brain at 1 mm, from the seed, the subject's id and severity alone."""
    random = generator(seed, "anatomy", subject.id)
    place = _atlas_coordinates(random, subject.severity)
    mask = _sample("brain", place) > 0.5
    place = place[:, mask]
    maps = {name: _sample(name, place) for name in load_atlas() if name not in ("brain", "flow")}
    fractions = _fractions(random, maps, mask, subject.severity)
    lesions = _lesions(random, maps, mask, subject.severity)
    return compose(random, mask, fractions, maps, lesions)


def compose(
    random: np.random.Generator,
    mask: np.ndarray,
    fractions: np.ndarray,
    maps: dict[str, np.ndarray],
    lesions: np.ndarray,
) -> Anatomy:
    """Divide tissue fractions (3, n) at 1 mm into compartments, and draw the spread of T1.

    `maps` holds at least `deep`, `brainstem`, `pallidum` and `ventricles` (n,), the atlas's weights
    of these regions; `lesions` (n,) is the share of white matter that is hyperintense.
    """
    csf, gm, wm = fractions
    vessels = (1 + random_field(random, mask.shape, 1.0, VESSELS_MM)[mask]).clip(0, 3)
    sulcal = SULCAL_VESSELS * vessels * (1 - maps["ventricles"])
    pallidum = maps["pallidum"]
    deep = np.maximum(maps["deep"], maps["brainstem"]) * (1 - pallidum)
    spread = [random_field(random, mask.shape, 1.0, SPREAD_MM)[mask].clip(-3, 3) for _ in range(2)]
    return Anatomy(
        mask=mask,
        affine=grid_affine(1.0),
        compartments={
            "csf": csf * (1 - sulcal),
            "vessels": csf * sulcal,
            "cortical_gm": gm * (1 - pallidum - deep),
            "deep_gm": gm * deep,
            "pallidum": gm * pallidum,
            "wm": wm * (1 - lesions),
            "wm_hyperintensity": wm * lesions,
        },
        gm_t1=1 + np.float32(GM_T1_SPREAD) * spread[0],
        wm_t1=1 + np.float32(WM_T1_SPREAD) * spread[1],
    )


def coarsen(anatomy: Anatomy, factor: int) -> Anatomy:
    """The anatomy on voxels `factor` times as wide: block averages over the brain's part of a block.

    The blocks that hold most brain become brain, as many as keep its volume.
    """
    if factor == 1:
        return anatomy
    coverage = _block_mean(anatomy.mask.astype(np.float32), factor)
    # coverage has few values and brains have flat sides, so a threshold alone would gain or lose CSF
    order = coverage + np.float32(0.05) * ndimage.gaussian_filter(coverage, 1)
    count = round(np.count_nonzero(anatomy.mask) / factor**3)
    mask = order >= np.partition(order.ravel(), -count)[-count]

    def average(values: np.ndarray) -> np.ndarray:
        return _block_mean(anatomy.dense(values), factor)[mask] / coverage[mask]

    return Anatomy(
        mask=mask,
        affine=grid_affine(anatomy.voxel_size_mm * factor),
        compartments={name: average(values) for name, values in anatomy.compartments.items()},
        gm_t1=average(anatomy.gm_t1),
        wm_t1=average(anatomy.wm_t1),
    )


def _block_mean(image: np.ndarray, factor: int) -> np.ndarray:
    a, b, c = (n // factor for n in image.shape)
    return image.reshape(a, factor, b, factor, c, factor).mean(axis=(1, 3, 5), dtype=np.float32)


# The atlas ---------------------------------------------------------------------------------------

_ELLIPSOIDS = {
    # centre and half axes in mm of the atlas's space; mirrored where x isn't 0
    "deep": [
        ((11, -19, 8), (11, 15, 11)),  # thalamus
        ((25, 1, 1), (9, 20, 12)),  # putamen and pallidum
        ((13, 14, 6), (8, 14, 12)),  # head of the caudate
        ((14, -2, 18), (6, 16, 7)),  # body of the caudate
        ((15, -58, -35), (10, 10, 8)),  # dentate nucleus
    ],
    "brainstem": [((0, -26, -24), (17, 15, 30))],
    "pallidum": [((19, -5, -1), (6, 9, 6))],
}

_VENTRICLE_BOX_MM = ((-40, 40), (-50, 38), (-4, 34))
"""The lateral ventricles are the CSF in it that hangs together above the third ventricle and cisterns."""

_VENTRICLE_MARGIN = 20
"""Voxels around that box, for what is smooth."""


@cache
def load_atlas() -> dict[str, np.ndarray]:
    """Maps on the atlas's own 1 mm grid, float32, 0..1.

    brain, gm, wm: the brain and its probabilities; deep, brainstem, pallidum: where those regions
    are; ventricles: the lateral ventricles, soft; near_ventricles: falls off from them over 6 mm;
    flow: smoothed ventricles, up whose gradient a deformation that widens them looks.
    """
    brain = read_atlas("t1") > 0
    gm, wm = read_atlas("gm"), read_atlas("wm")
    csf = np.where(brain, np.clip(1 - gm - wm, 0, 1), 0)
    box, lateral = _lateral_ventricles(csf)
    maps = {"brain": brain.astype(np.float32), "gm": gm, "wm": wm}
    for name, scale_mm, gain in (("ventricles", 1.5, 2), ("near_ventricles", 6, 2.5), ("flow", 5, 1)):
        maps[name] = np.zeros(brain.shape, dtype=np.float32)
        maps[name][box] = np.clip(gain * ndimage.gaussian_filter(lateral, scale_mm, truncate=3), 0, 1)
    for name, ellipsoids in _ELLIPSOIDS.items():
        maps[name] = np.zeros(brain.shape, dtype=np.float32)
        for centre, axes in ellipsoids:
            for side in (1, -1) if centre[0] else (1,):
                _add_ellipsoid(maps[name], (side * centre[0], *centre[1:]), axes)
    return maps


def read_atlas(name: str) -> np.ndarray:
    """The atlas's map of `name` (t1, gm or wm), float32 (X, Y, Z) in 0..1, as nilearn stores it."""
    image = nib.load(atlas_file(name))
    return np.asarray(image.dataobj, dtype=np.float32) / 255


def atlas_file(name: str) -> Path:
    """The atlas's file of `name` (t1, gm or wm) within nilearn, found without importing it."""
    package = importlib.util.find_spec("nilearn")
    file = f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / file if package else None
    if path is None or not path.exists():
        raise InputError(f"{file} of the package nilearn isn't there; install nilearn 0.13 (pip install nilearn)")
    return path


@cache
def atlas_affine() -> np.ndarray:
    """Voxel to mm of the atlas's maps, (4, 4)."""
    return nib.load(atlas_file("t1")).affine


def _lateral_ventricles(csf: np.ndarray) -> tuple[tuple[slice, ...], np.ndarray]:
    """A box of the atlas, and in it 1 in the lateral ventricles, else 0, float32."""
    origin = atlas_affine()[:3, 3]
    box = tuple(slice(int(low - o), int(high - o)) for (low, high), o in zip(_VENTRICLE_BOX_MM, origin, strict=True))
    labels, _ = ndimage.label(csf[box] > 0.5)
    lateral = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    wide = tuple(slice(s.start - _VENTRICLE_MARGIN, s.stop + _VENTRICLE_MARGIN) for s in box)
    return wide, np.pad(lateral.astype(np.float32), _VENTRICLE_MARGIN)


def _add_ellipsoid(image: np.ndarray, centre_mm: tuple[float, ...], axes_mm: tuple[float, ...]) -> None:
    """Raise `image` to a soft ellipsoid: 1 inside, 0 outside, an edge of about 2 mm."""
    centre = np.array(centre_mm) - atlas_affine()[:3, 3]
    reach = np.array(axes_mm) + 6
    box = tuple(
        slice(max(int(c - r), 0), min(int(c + r) + 2, n)) for c, r, n in zip(centre, reach, image.shape, strict=True)
    )
    axes = [
        ((np.arange(s.start, s.stop) - c) / a).astype(np.float32) for s, c, a in zip(box, centre, axes_mm, strict=True)
    ]
    radius = np.sqrt(axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2)
    edge = np.float32(min(axes_mm))
    soft = 1 / (1 + np.exp((radius - 1) * edge / 0.6))
    image[box] = np.maximum(image[box], soft)


# One subject -------------------------------------------------------------------------------------


def _atlas_coordinates(random: np.random.Generator, severity: float) -> np.ndarray:
    """For every voxel of the 1 mm grid its place in the atlas, in voxels, float32 (3, X, Y, Z)."""
    displacement = _deformation(random, severity)
    matrix = _small_affine(random) / ATLAS_SCALE
    origin = atlas_affine()[:3, 3]
    places = [
        (np.arange(n, dtype=np.float32) + np.float32(low + 0.5)).reshape(column)
        for n, low, column in zip(SHAPE, ORIGIN_MM, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
    ]
    moved = [place + enlarge(part, COARSE) for place, part in zip(places, displacement, strict=True)]
    coordinates = np.empty((3, *SHAPE), dtype=np.float32)
    for axis in range(3):
        row = matrix[axis].astype(np.float32)
        np.multiply(moved[0], row[0], out=coordinates[axis])
        coordinates[axis] += moved[1] * row[1]
        coordinates[axis] += moved[2] * row[2]
        coordinates[axis] -= np.float32(origin[axis])
    return coordinates


def _small_affine(random: np.random.Generator) -> np.ndarray:
    """Scaling by about +-1.5 % along each axis and rotation by about +-1 degree about each, (3, 3)."""
    matrix = np.diag(np.exp(random.normal(0, 0.015, 3)))
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = np.deg2rad(random.normal(0, 1))
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def _deformation(random: np.random.Generator, severity: float) -> np.ndarray:
    """The displacement in mm on the coarse grid, (3, A, B, C): a diffeomorphism.

    Scaling and squaring of a stationary velocity (Arsigny et al., MICCAI 2006): folds of 20 and
    9 mm, and flow out of the lateral ventricles that widens them with severity.
    """
    coarse = tuple(n // COARSE for n in SHAPE)
    velocity = np.stack(
        [
            2.6 * random_field(random, coarse, COARSE, 20) + 1.2 * random_field(random, coarse, COARSE, 9)
            for _ in range(3)
        ]
    )
    velocity += np.float32((0.8 + 3.6 * severity) * 1.5) * _ventricle_pull()
    steps = 5
    flow = velocity / 2**steps
    identity = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in coarse), indexing="ij"))
    for _ in range(steps):
        place = identity + flow / COARSE
        flow = flow + np.stack([ndimage.map_coordinates(part, place, order=1, mode="nearest") for part in flow])
    # scans come registered, so a brain isn't shifted as a whole
    brain = _on_coarse_grid("brain") > 0.5
    return flow - flow[:, brain].mean(axis=1)[:, None, None, None]


@cache
def _ventricle_pull() -> np.ndarray:
    """Towards the lateral ventricles, on the coarse grid of subjects; at most 1, (3, A, B, C)."""
    gradient = np.stack(np.gradient(_on_coarse_grid("flow")))
    return gradient / np.sqrt((gradient**2).sum(axis=0)).max()


def _on_coarse_grid(name: str) -> np.ndarray:
    """The atlas's map of that name at the nodes of the subjects' coarse grid, (A, B, C)."""
    return _undeformed(name, COARSE)


def _undeformed(name: str, voxel_size_mm: int) -> np.ndarray:
    """The atlas's map of that name, scaled and nothing else, on the subjects' grid of these voxels, (A, B, C)."""
    centres = [
        low + voxel_size_mm * (np.arange(n // voxel_size_mm) + 0.5) for n, low in zip(SHAPE, ORIGIN_MM, strict=True)
    ]
    origin = atlas_affine()[:3, 3]
    places = [(centre / ATLAS_SCALE - o).astype(np.float32) for centre, o in zip(centres, origin, strict=True)]
    return _sample(name, np.stack(np.meshgrid(*places, indexing="ij")))


def undeformed_maps(mask: np.ndarray) -> dict[str, np.ndarray]:
    """The maps that `compose` needs, in a mask (X, Y, Z) on the 1 mm grid: a brain that lies where the atlas lies."""
    return {name: _undeformed(name, 1)[mask] for name in ("deep", "brainstem", "pallidum", "ventricles")}


def atlas_brain() -> tuple[np.ndarray, np.ndarray]:
    """The atlas's T1-weighted brain (X, Y, Z), 0..1, and its affine at the size of the subjects."""
    affine = np.diag([ATLAS_SCALE, ATLAS_SCALE, ATLAS_SCALE, 1.0]) @ atlas_affine()
    return read_atlas("t1"), affine


def _sample(name: str, place: np.ndarray) -> np.ndarray:
    """The atlas's map of that name at places (3, ...) in its voxels, linearly interpolated."""
    box = _support(name)
    inside = np.ones(place.shape[1:], dtype=bool)
    for coordinate, extent in zip(place, box, strict=True):
        inside &= (coordinate > extent.start) & (coordinate < extent.stop - 1)
    there = place[:, inside] - np.array([[extent.start] for extent in box], dtype=np.float32)
    values = np.zeros(place.shape[1:], dtype=np.float32)
    values[inside] = ndimage.map_coordinates(load_atlas()[name][box], there, order=1)
    return values


@cache
def _support(name: str) -> tuple[slice, ...]:
    """The box of the atlas, a voxel wider, outside which a map is nearly 0."""
    there = load_atlas()[name] > 1e-3
    box = []
    for axis in range(3):
        planes = np.flatnonzero(there.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(max(int(planes[0]) - 1, 0), int(planes[-1]) + 2))
    return tuple(box)


def _fractions(
    random: np.random.Generator, maps: dict[str, np.ndarray], mask: np.ndarray, severity: float
) -> np.ndarray:
    """Tissue fractions (3, n): the atlas's, sharpened, with folds of this subject's own and atrophy."""
    gm, wm = maps["gm"], maps["wm"]
    inner = np.maximum(maps["deep"], maps["brainstem"])
    cortex = 1 - inner
    damping = 1 - np.float32(0.7) * inner
    scores = [np.log(p + np.float32(1e-3)) for p in (np.clip(1 - gm - wm, 0, 1), gm, wm)]
    for score in scores:
        for size, scale in FOLDS:
            score += damping * np.float32(size) * random_field(random, mask.shape, 1.0, scale)[mask]
    for score, (shift, atrophy) in zip(scores, CORTEX_SHIFTS, strict=True):
        score += cortex * np.float32(shift + atrophy * severity)
    scores[1] += maps["deep"] * np.float32(1.5) * np.clip((gm - np.float32(0.12)) / np.float32(0.2), 0, 1)
    weights = np.exp(np.float32(SHARPNESS) * np.stack(scores))
    return weights / weights.sum(axis=0)


def _lesions(random: np.random.Generator, maps: dict[str, np.ndarray], mask: np.ndarray, severity: float) -> np.ndarray:
    """Share (n,) of white matter that is hyperintense: patches near the lateral ventricles."""
    patches = random_field(random, mask.shape, 1.0, 4.0)[mask]
    score = 3.5 * maps["near_ventricles"] + 0.5 * patches - np.float32(3.0 - 1.2 * severity)
    return 1 / (1 + np.exp(-8 * score))
