"""Registration to the atlas, and transforms applied; ANTs hands transforms over as files."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

from core.nifti import check_whole
from studies.preprocessing.arrays import Grid, coarser, load_ants, sample, smooth_for, to_ants
from studies.preprocessing.atlas import Atlas
from studies.preprocessing.greedy import find_warps
from studies.preprocessing.options import DEFORMABLE, PreprocessOptions

if TYPE_CHECKING:
    import ants

SEED = 1
"""Of the voxels that the metric looks at."""

AFFINE_MM = 4.0
"""Voxels for finding the affine: twelve numbers don't need finer ones."""

CORRELATION_RADIUS = 2
"""Voxels around each over which `syn_metric: cc` correlates."""

RIGID_MM = 2.0
"""Voxels for finding the rigid transform between two images of one visit, which has to be right within one."""

ROUGH_MARGIN_MM = 6.0
"""By how much a brain mask carried over by an affine alone is widened before the second pass."""


@dataclass(frozen=True)
class Transforms:
    """The transforms of a scan to the atlas, as files: the affine, and the two warps where there are."""

    affine: Path
    warp: Path
    inverse_warp: Path

    @classmethod
    def of_folder(cls, folder: Path) -> Transforms:
        """Where they lie in a scan's folder."""
        return cls(folder / "affine.mat", folder / "warp.nii.gz", folder / "inverse_warp.nii.gz")

    def to_atlas(self) -> list[str]:
        """For `ants.apply_transforms` onto the atlas's grid: the last is applied first."""
        return [str(path) for path in (self.warp, self.affine) if _is_there(path)]

    def to_native(self) -> tuple[list[str], list[bool]]:
        """For the way back, with which of them to invert."""
        files = [(self.affine, True), (self.inverse_warp, False)]
        there = [(str(path), inverted) for path, inverted in files if _is_there(path)]
        return [path for path, _ in there], [inverted for _, inverted in there]


def _is_there(path: Path) -> bool:
    """Whether a transform is there; a broken warp is refused, which ITK would read as far as it goes."""
    if path.exists() and path.suffix == ".gz":
        check_whole(path)
    return path.exists()


def register_brain(
    image: np.ndarray,
    affine: np.ndarray,
    atlas: Atlas,
    options: PreprocessOptions,
    folder: Path,
    *,
    initial: Path | None = None,
) -> Transforms:
    """Register a brain (X, Y, Z), 0 outside it, to the atlas's; the transforms are written into `folder`.

    First an affine (mutual information, on 4 mm voxels), then, on voxels of the study's size, with `registration:
    syn` SyN (Avants et al., Medical Image Analysis 2008) with the options' metric, with `greedy` Greedy.
    """
    load_ants(options.threads)
    found = Transforms.of_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for left in (found.affine, found.warp, found.inverse_warp):
        # a warp of an earlier registration would be applied on top of a new affine
        left.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        linear = affine_to(image, affine, atlas.image, atlas.grid, Path(scratch), initial=initial)
        shutil.copyfile(linear, found.affine)
        if options.registration in DEFORMABLE:
            fixed = to_ants(atlas.image, atlas.grid.affine)
            moving = to_ants(*_coarse(image, affine, options.voxel_size_mm))
            if options.registration == "greedy":
                find_warps(fixed, moving, linear, found.warp, found.inverse_warp, options.threads)
            else:
                _syn(fixed, moving, linear, options, found, scratch)
    return found


def _syn(
    fixed: ants.ANTsImage,
    moving: ants.ANTsImage,
    linear: Path,
    options: PreprocessOptions,
    found: Transforms,
    scratch: str,
) -> None:
    """Find SyN's warps, from the affine `linear` on, and put them and the affine where `found` says."""
    ants = load_ants(options.threads)
    warped = ants.registration(
        fixed=fixed,
        moving=moving,
        type_of_transform="SyN",
        initial_transform=str(linear),
        # the affine is already found: its stage only makes one file of what SyN starts from
        aff_iterations=(20,),
        aff_shrink_factors=(2,),
        aff_smoothing_sigmas=(1,),
        reg_iterations=options.syn_iterations,
        **({"syn_metric": "CC", "syn_sampling": CORRELATION_RADIUS} if options.syn_metric == "cc" else {}),
        outprefix=f"{scratch}/syn",
        random_seed=SEED,
    )
    warp, linear_again = warped["fwdtransforms"]
    shutil.copyfile(warp, found.warp)
    shutil.copyfile(linear_again, found.affine)
    shutil.copyfile(next(path for path in warped["invtransforms"] if "Warp" in path), found.inverse_warp)


def affine_to(
    image: np.ndarray,
    affine: np.ndarray,
    fixed: np.ndarray,
    grid: Grid,
    scratch: Path,
    *,
    mask: np.ndarray | None = None,
    initial: Path | str | None = None,
    kind: Literal["Affine", "Rigid"] = "Affine",
    voxel_size_mm: float = AFFINE_MM,
) -> Path:
    """The affine of an image to a fixed one, found on coarse voxels; with `mask` (of the fixed) only there."""
    ants = load_ants()
    small = coarser(grid.shape, grid.affine, voxel_size_mm)
    target = sample(smooth_for(fixed, grid.affine, voxel_size_mm), grid.affine, small)
    limits = {}
    if mask is not None:
        there = sample(mask.astype(np.float32), grid.affine, small) > 0.5
        limits = {"mask": to_ants(there, small.affine), "mask_all_stages": True}
    found = ants.registration(
        fixed=to_ants(target, small.affine),
        moving=to_ants(*_coarse(image, affine, voxel_size_mm)),
        type_of_transform=kind,
        initial_transform=None if initial is None else str(initial),
        aff_iterations=(500, 300, 100),
        aff_shrink_factors=(4, 2, 1),
        aff_smoothing_sigmas=(2, 1, 0),
        aff_random_sampling_rate=1.0,
        outprefix=f"{scratch}/affine",
        random_seed=SEED,
        **limits,
    )
    return Path(found["fwdtransforms"][0])


def register_beside(
    image: np.ndarray, affine: np.ndarray, scan: np.ndarray, mask: np.ndarray, grid: Grid, file: Path
) -> Transforms:
    """Register another image of a visit rigidly to the scan (X, Y, Z), on `grid`, where its `mask` is; into `file`.

    By mutual information, from where the scanner's own coordinates lay them: nobody moves far in a visit.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = affine_to(
            image,
            affine,
            scan,
            grid,
            Path(scratch),
            mask=mask,
            initial="Identity",
            kind="Rigid",
            voxel_size_mm=RIGID_MM,
        )
        shutil.copyfile(found, file)
    return Transforms(file, file.parent / "none", file.parent / "none")


def find_brain(image: np.ndarray, affine: np.ndarray, atlas: Atlas, scratch: Path) -> tuple[np.ndarray, Path]:
    """A rough mask, bool (X, Y, Z), of the brain in a head with its skull, and the affine that found it.

    The atlas's mask, carried over by an affine of the head to the atlas's brain that looks at the brain
    alone, and widened by `ROUGH_MARGIN_MM`.
    """
    wide = ndimage.distance_transform_edt(~atlas.mask, sampling=float(atlas.grid.affine[0, 0])) < ROUGH_MARGIN_MM
    linear = affine_to(image, affine, atlas.image, atlas.grid, scratch, mask=wide)
    files = Transforms(linear, scratch / "none", scratch / "none")
    rough = carry_back(wide.astype(np.float32), atlas.grid, files, Grid(image.shape, affine))
    return rough > 0.5, linear


def carry(image: np.ndarray, affine: np.ndarray, transforms: Transforms, grid: Grid, *before: Transforms) -> np.ndarray:
    """A native image (X, Y, Z) on the atlas's grid, linearly interpolated, float32; 0 beyond the image.

    `before` is what brings an image onto the scan that `transforms` are of; it is interpolated once all the same.
    """
    ants = load_ants()
    voxel_size = float(np.abs(grid.affine[0, 0]))
    moving = to_ants(smooth_for(image, affine, voxel_size), affine)
    fixed = to_ants(np.zeros(grid.shape, np.float32), grid.affine)
    files = [file for each in (transforms, *before) for file in each.to_atlas()]
    return ants.apply_transforms(fixed, moving, files, interpolator="linear").numpy()


def carry_back(image: np.ndarray, grid: Grid, transforms: Transforms, native: Grid) -> np.ndarray:
    """An image on the atlas's grid (X, Y, Z) brought back onto a scan's native grid, linearly, float32."""
    ants = load_ants()
    files, inverted = transforms.to_native()
    fixed = to_ants(np.zeros(native.shape, np.float32), native.affine)
    moving = to_ants(image, grid.affine)
    return ants.apply_transforms(fixed, moving, files, whichtoinvert=inverted, interpolator="linear").numpy()


def _coarse(image: np.ndarray, affine: np.ndarray, voxel_size_mm: float) -> tuple[np.ndarray, np.ndarray]:
    grid = coarser(image.shape, affine, voxel_size_mm)
    return sample(smooth_for(image, affine, voxel_size_mm), affine, grid), grid.affine
