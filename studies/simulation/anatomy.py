"""People made up from the ICBM152 atlas: shape, tissue fractions, what each voxel is made of.

The atlas is the ICBM152 2009a nonlinear symmetric one that nilearn's wheel carries (no download;
its notice is in `LICENSE-ICBM152.txt`). Its brain is 28 % larger than an adult's, so it is scaled by
0.92. Every subject is made at 1 mm; a 2 mm one is the block average of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from core.images import voxel_volume_ml
from core.names import TISSUES
from core.random_numbers import generator
from studies.simulation.atlas_maps import load_atlas, sample
from studies.simulation.deformation import atlas_coordinates
from studies.simulation.grid import grid_affine
from studies.simulation.people import Subject
from studies.simulation.random_fields import random_field

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


def make_anatomy(subject: Subject, seed: int) -> Anatomy:
    """The subject's brain at 1 mm, from the seed, the subject's id and severity alone."""
    random = generator(seed, "anatomy", subject.id)
    place = atlas_coordinates(random, subject.severity)
    mask = sample("brain", place) > 0.5
    place = place[:, mask]
    maps = {name: sample(name, place) for name in load_atlas() if name not in ("brain", "flow")}
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
