"""What every segmentation engine takes and gives, and the one door into all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InputError, nearest, saying_where
from core.names import TISSUES

ENGINES = "segmentation.engines"

# A newborn's brain has about 350 mL, an adult's 1000 to 1600. A seventh of the newborn's leaves
# room for a single lobe or a shrunk test brain, and still tells a mask that went wrong (one slice,
# the eyes, millimeters taken for meters) from a brain.
SMALLEST_BRAIN_ML = 50.0

# A Gaussian class needs a variance, so at least two values; there are three classes.
FEWEST_VALUES = 6

_SAMPLE = 10_000


@dataclass(frozen=True)
class Segmentation:
    """Tissue classes of one image, in the order of `TISSUES`; 0 outside the modeled voxels.

    The modeled voxels are those of the mask with an intensity above 0.

    Attributes
    ----------
    posteriors : float32 (3, X, Y, Z), the probability of each class.
    labels : uint8 (X, Y, Z), the most probable class: 0 none, 1 CSF, 2 GM, 3 WM.
    bias_field : float32 (X, Y, Z), the factor by which the scanner brightened each voxel, or None
        if the engine doesn't estimate it.
    means, variances : float64 (3,), of each class on the scale that the engine models:
        log(1 + intensity) without the bias field for `hmrf` and `fsl`, intensities for `gmm`.
    partial_volumes : float32 (3, X, Y, Z), the fraction of each voxel that each tissue fills, or
        None if not asked for or if the engine doesn't estimate it.
    engine : the engine's name.
    """

    posteriors: np.ndarray
    labels: np.ndarray
    bias_field: np.ndarray | None
    means: np.ndarray
    variances: np.ndarray
    partial_volumes: np.ndarray | None
    engine: str


def engines() -> tuple[str, ...]:
    """Names of the engines: the modules in the folder `engines`."""
    folder = importlib.import_module(ENGINES)
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folder.__path__)))


def gives_partial_volumes(engine: str) -> bool:
    """Whether an engine estimates partial volumes; one that doesn't says PARTIAL_VOLUMES = False in its file."""
    return bool(getattr(importlib.import_module(f"{ENGINES}.{engine}"), "PARTIAL_VOLUMES", True))


def check_engine(engine: str, where: str) -> None:
    """Refuse an engine that there isn't, or whose program isn't installed; `where` names the option."""
    if engine not in engines():
        raise InputError(f"{where}: there is no '{engine[:80]}'{nearest(engine[:80], engines())}")
    module = importlib.import_module(f"{ENGINES}.{engine}")
    if hasattr(module, "check"):
        try:
            module.check()
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


def check_segmentable(image: np.ndarray, mask: np.ndarray, voxel_sizes: Sequence[float] | np.ndarray) -> np.ndarray:
    """Refuse what cannot be segmented, with the reason, and say which voxels can be modeled.

    Parameters
    ----------
    image : (X, Y, Z), intensities as given; nothing is rescaled.
    mask : bool (X, Y, Z), the brain.
    voxel_sizes : three sizes in mm.

    Returns
    -------
    bool (X, Y, Z): the mask's voxels with an intensity above 0. FAST's model is one of
    log(1 + intensity) over voxels above 0; a voxel of exactly 0 gets no class.

    Raises
    ------
    InputError
        Shapes that differ, voxel sizes that aren't positive; an empty mask; NaN, infinite or
        negative voxels in it; a constant image, or one of fewer than `FEWEST_VALUES` values; fewer
        voxels above 0 than make `SMALLEST_BRAIN_ML`.
    """
    if image.ndim != 3 or image.shape != mask.shape:
        raise InputError(
            f"the image has shape {image.shape}, its mask {mask.shape}; both must be the same three-dimensional grid"
        )
    sizes = np.asarray(voxel_sizes, dtype=np.float64)
    if sizes.shape != (3,) or not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise InputError(f"voxel sizes {list(voxel_sizes)}; three positive sizes in mm are needed")
    if mask.dtype != np.bool_:
        raise InputError(f"the mask has type {mask.dtype}; make it boolean (mask > 0)")

    values = image[mask]
    if values.size == 0:
        raise InputError("the mask is empty; give a brain mask on the image's grid")
    # A NaN anywhere makes both of them NaN.
    lowest, highest = values.min(), values.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        count = np.count_nonzero(~np.isfinite(values))
        raise InputError(f"{count} voxels in the mask are NaN or infinite; repair or mask them out")
    if lowest < 0:
        count = np.count_nonzero(values < 0)
        raise InputError(
            f"{count} voxels in the mask are negative, down to {lowest:g}; "
            "a segmentation models log(1 + intensity), so shift or map the image above 0 first"
        )
    if lowest == highest:
        raise InputError(f"constant image, every voxel in the mask is {lowest:g}; give an image with contrast")
    # Nearly every image shows enough values within its first voxels; sorting all of them is slow.
    distinct = np.unique(values[:_SAMPLE])
    if distinct.size < FEWEST_VALUES:
        distinct = np.unique(values)
    if distinct.size < FEWEST_VALUES:
        raise InputError(
            f"only {distinct.size} different intensities in the mask; three classes with "
            f"a variance each need at least {FEWEST_VALUES}; give the image, not a label map"
        )
    modeled = mask if lowest > 0 else mask & (image > 0)
    volume = np.count_nonzero(modeled) * float(sizes.prod()) / 1000
    if volume < SMALLEST_BRAIN_ML:
        raise InputError(
            f"{volume:.3g} mL in the mask and above 0, less than any brain "
            f"({SMALLEST_BRAIN_ML:g} mL); check the mask and the voxel sizes"
        )
    return modeled


def segment(
    image: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: Sequence[float] | np.ndarray,
    *,
    engine: str = "hmrf",
    threads: int = 1,
    partial_volumes: bool = False,
    affine: np.ndarray | None = None,
    name: str = "image",
) -> Segmentation:
    """Segment a brain into CSF, GM and WM with one of `engines()`.

    Parameters
    ----------
    image : (X, Y, Z), T1-weighted, intensities as given: no engine rescales them, and results
        depend on their scale.
    mask : bool (X, Y, Z), the brain.
    voxel_sizes : three sizes in mm.
    engine : `hmrf`, FAST's model without FSL; `fsl`, FAST itself; `gmm`, a Gaussian mixture of the
        intensities alone; `atropos`, ANTs' with an atlas's priors; `unified`, Ashburner and Friston's, with them,
        a bias field and a warp; `spm` and `synthseg`, where installed; or another module of `segmentation.engines`.
    threads : threads the engine may use; the result doesn't depend on it.
    partial_volumes : estimate these too, where the engine can; they take a quarter more memory.
    affine : (4, 4), voxel to mm, for an engine that has an atlas's priors; by default the axes run to the right, the
        front and the top.
    name : what to call the image in messages, such as its path.

    Raises
    ------
    InputError
        What `check_segmentable` refuses, an unknown engine, an engine that isn't installed, or a
        result that is none: a NaN posterior or a class without a voxel.
    """
    if engine not in engines():
        raise InputError(f"no segmentation engine '{engine}'{nearest(engine, engines())}")
    if threads < 1:
        raise InputError(f"{threads} threads; a segmentation needs at least 1")
    sizes = tuple(float(size) for size in voxel_sizes)
    module = importlib.import_module(f"{ENGINES}.{engine}")
    placed = {"affine": np.diag([*sizes, 1.0]) if affine is None else affine}
    try:
        with saying_where(f"in engine {engine}, {name}"):
            found = module.segment(
                np.asarray(image, dtype=np.float32),
                check_segmentable(image, mask, voxel_sizes),
                sizes,
                threads,
                partial_volumes,
                **(placed if getattr(module, "ON_ATLAS", False) else {}),
            )
        _check_found(found)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return found


def _check_found(found: Segmentation) -> None:
    # A sum shows a NaN anywhere, without a copy of the maps.
    if not all(np.isfinite(posterior.sum()) for posterior in found.posteriors):
        raise InputError(
            f"engine {found.engine} gave NaN posteriors; "
            "its classes collapsed, which happens where the image has no tissue contrast"
        )
    counts = [np.count_nonzero(found.labels == label) for label in range(1, len(TISSUES) + 1)]
    for tissue, count in zip(TISSUES, counts, strict=True):
        if count == 0:
            raise InputError(
                f"engine {found.engine} found no voxel of {tissue} "
                f"(CSF, GM, WM: {', '.join(map(str, counts))}); "
                "check that the image is T1-weighted and the mask is the whole brain"
            )
