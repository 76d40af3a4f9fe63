"""Atropos of ANTs (Avants et al., Neuroinformatics 2011), by antspyx: Gaussians, a Markov field and an atlas's priors.

N4 isn't run before it: an arm's images are segmented as they are, as by every engine here. It estimates no bias field
and no partial volumes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from core.errors import InputError
from core.libraries import check_libraries
from core.names import TISSUES
from segmentation.interface import Segmentation
from segmentation.priors import tissue_priors
from segmentation.tissue_maps import from_posteriors

PARTIAL_VOLUMES = False
ON_ATLAS = True

FIELD = "[0.1,1x1x1]"
"""Weight of the neighbors, within a voxel along each axis: that of the published cortical thickness pipeline."""

STEPS = "[5,0]"
PRIOR_WEIGHT = 0.25


def check() -> None:
    """Raise `InputError` where antspyx, or the package that has the atlas, isn't installed."""
    check_libraries(["ants", "nilearn"], "segmentation engine atropos")


def segment(
    image: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: tuple[float, float, float],
    threads: int,
    partial_volumes: bool,
    *,
    affine: np.ndarray,
) -> Segmentation:
    """Run Atropos in the mask; see `segmentation.interface.segment`.

    ITK works on the threads that it was loaded with: one, so that sums don't differ from run to run.

    Raises
    ------
    InputError
        antspyx isn't installed, or Atropos gave no result.
    """
    check()
    os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    import ants

    def to_ants(array: np.ndarray) -> ants.ANTsImage:
        return ants.from_numpy(np.asarray(array, dtype=np.float32), spacing=list(voxel_sizes))

    priors = [to_ants(prior) for prior in tissue_priors(mask, affine)]
    with _files_removed():
        try:
            found = ants.atropos(
                a=to_ants(np.where(mask, image, np.float32(0))),
                x=to_ants(mask),
                i=priors,
                m=FIELD,
                c=STEPS,
                priorweight=PRIOR_WEIGHT,
                # not the clock's: voxels are visited in a random order
                r=0,
            )
        # antspyx has no error of its own
        except Exception as error:
            raise InputError(f"Atropos: {error}") from None
    posteriors = np.stack([each.numpy() for each in found["probabilityimages"]]).astype(np.float32) * mask
    if len(posteriors) != len(TISSUES):
        raise InputError(f"Atropos gave {len(posteriors)} classes for {len(TISSUES)} tissues")
    return from_posteriors("atropos", posteriors, image[mask], mask)


@contextmanager
def _files_removed() -> Iterator[None]:
    """Where antspyx leaves its maps, which it never removes."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="atropos-") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before
