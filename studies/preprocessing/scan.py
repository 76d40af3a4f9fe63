"""The two steps of a scan, with files: `register`, then `resample`.

In a study's folder they leave

    native/<scan>_mask.nii.gz           the brain on the scan's own grid (reoriented), uint8
    transforms/<scan>/affine.mat, warp.nii.gz, inverse_warp.nii.gz
    atlas_T1w.nii.gz                    the atlas's brain on the common grid
    preprocessed/<scan>_T1w.nii.gz, <scan>_mask.nii.gz, <scan>_quality.json    on the common grid
    preprocessed/<scan>_T2w.nii.gz, <scan>_T2w_to_T1w.mat    of a scan with a T2-weighted image beside it

where <scan> is sub-<subject>_scanner-<scanner>, of a rescan with _session-<session> after it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from core.errors import InputError
from core.files import write_json
from core.images import load_image, load_mask, save_image, save_labels, voxel_volume_ml
from core.run_folder import StudyFolder
from studies.preprocessing import arrays
from studies.preprocessing.arrays import Grid
from studies.preprocessing.atlas import load_atlas
from studies.preprocessing.brain import own_mask, way_of
from studies.preprocessing.options import PreprocessOptions
from studies.preprocessing.quality import measure
from studies.preprocessing.registration import (
    Transforms,
    carry,
    carry_back,
    find_brain,
    register_beside,
    register_brain,
)


def register(image_file: Path, name: str, folder: Path, options: PreprocessOptions, mask_file: Path | None) -> None:
    """Find a scan's transforms to the atlas and its native brain mask; see the module's text for the files.

    Raises `InputError` for a scan in which no brain can be found.
    """
    image, affine = arrays.reorient(*load_image(image_file))
    native = Grid(image.shape, affine)
    own = own_mask(image_file, image, affine, options, mask_file)
    if options.registration == "none":
        assert own is not None, "options refuse brain: atlas without a registration"
        save_labels(StudyFolder(folder).native_mask(name), own, affine)
        return
    arrays.load_ants(options.threads)
    atlas = load_atlas(options)
    with tempfile.TemporaryDirectory() as scratch:
        rough, initial = (own, None) if own is not None else find_brain(image, affine, atlas, Path(scratch))
        if not rough.any():
            raise InputError(f"{image_file}: no brain was found by registration; look at it, or give its mask")
        brain = np.where(rough, image, np.float32(0))
        if options.n4:
            brain /= arrays.bias_field(image, rough, affine)
        found = register_brain(brain, affine, atlas, options, StudyFolder(folder).transforms(name), initial=initial)
    if own is None:
        own = carry_back(atlas.mask.astype(np.float32), atlas.grid, found, native) > 0.5
        if not own.any():
            raise InputError(f"{image_file}: the atlas's brain was laid beside the scan; look at it, or give its mask")
    save_labels(StudyFolder(folder).native_mask(name), own, affine)


def resample(image_file: Path, name: str, folder: Path, options: PreprocessOptions) -> None:
    """Correct a registered scan's bias field, bring it onto the common grid, mask it, and measure its quality."""
    image, affine = arrays.reorient(*load_image(image_file))
    mask, _ = load_mask(StudyFolder(folder).native_mask(name))
    quality: dict[str, Any] = {"brain": way_of(image, affine, options)}
    if options.n4:
        image = image / arrays.bias_field(image, mask, affine)
    quality["mask_ml"] = float(mask.sum() * voxel_volume_ml(affine))
    quality["snr"] = signal_to_noise(image, mask)
    if options.registration == "none":
        on_grid, there, grid_affine = image, mask, affine
    else:
        atlas = load_atlas(options)
        grid_affine = atlas.grid.affine
        transforms = Transforms.of_folder(StudyFolder(folder).transforms(name))
        if options.brain == "atlas":
            there = atlas.mask
            on_grid = carry(image, affine, transforms, atlas.grid)
        else:
            # extended beyond its mask, so that the brain's edge isn't mixed with the background's 0
            on_grid = carry(extended(image, mask), affine, transforms, atlas.grid)
            there = carry(mask.astype(np.float32), affine, transforms, atlas.grid) > 0.5
        inside = carry(np.ones_like(image), affine, transforms, atlas.grid) > 0.5
        quality |= measure(on_grid, there, inside, atlas)
        save_image(StudyFolder(folder).atlas, atlas.image, atlas.grid.affine)
    if not there.any():
        raise InputError(f"{image_file}: no brain is left on the common grid; the registration failed")
    # interpolation and a corrected background can go slightly below 0, a magnitude image doesn't
    on_grid = np.where(there, np.maximum(on_grid, 0), 0).astype(np.float32)
    save_image(StudyFolder(folder).preprocessed(name, "T1w.nii.gz"), on_grid, grid_affine)
    save_labels(StudyFolder(folder).preprocessed(name, "mask.nii.gz"), there, grid_affine)
    write_json(StudyFolder(folder).preprocessed(name, "quality.json"), quality)


def resample_t2(t2_file: Path, image_file: Path, name: str, folder: Path, options: PreprocessOptions) -> None:
    """Bring the T2-weighted image beside a scan that is on the common grid onto that scan, and mask it as that is.

    It is registered rigidly to the native scan, its own bias field is corrected, and one interpolation carries it
    through both transforms. 0 where it doesn't reach. Raises `InputError` where it shows nothing of the brain.
    """
    image, affine = arrays.reorient(*load_image(image_file))
    t2, t2_affine = arrays.reorient(*load_image(t2_file))
    mask, _ = load_mask(StudyFolder(folder).native_mask(name))
    there, grid_affine = load_mask(StudyFolder(folder).preprocessed(name, "mask.nii.gz"))
    native = Grid(image.shape, affine)
    rigid = register_beside(
        t2, t2_affine, image, mask, native, StudyFolder(folder).preprocessed(name, "T2w_to_T1w.mat")
    )
    brain = carry_back(mask.astype(np.float32), native, rigid, Grid(t2.shape, t2_affine)) > 0.5
    if not brain.any():
        raise InputError(f"{t2_file}: shows nothing of the brain of {image_file}; take it out, or set t2: false")
    if options.n4:
        t2 = t2 / arrays.bias_field(t2, brain, t2_affine)
    onto = [] if options.registration == "none" else [Transforms.of_folder(StudyFolder(folder).transforms(name))]
    transforms, *before = [*onto, rigid]
    grid = Grid(there.shape, grid_affine)
    # extended beyond its mask, so that the brain's edge isn't mixed with the background's 0
    on_grid = carry(extended(t2, brain), t2_affine, transforms, grid, *before)
    on_grid = np.where(there, np.maximum(on_grid, 0), 0).astype(np.float32)
    save_image(StudyFolder(folder).preprocessed(name, "T2w.nii.gz"), on_grid, grid_affine)


def extended(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with each voxel outside the mask set to its nearest one inside."""
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return image[tuple(nearest)]


def signal_to_noise(image: np.ndarray, mask: np.ndarray) -> float | None:
    """The brain's median over the SD of its noise (`arrays.noise_sd`)."""
    noise = arrays.noise_sd(image, mask)
    return float(np.median(image[mask]) / noise) if noise > 0 else None
