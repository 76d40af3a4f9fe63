"""Greedy: a deformable registration by local correlation, faster than SyN (Yushkevich et al., Alzheimer's & Dementia
2016, 12: P126).

It warps the moving image alone, where SyN brings both to a middle. Its warps are in ITK's convention, as SyN's are. It
has its own build of ITK, so images go to it by SimpleITK.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import ants

METRIC = "-m NCC 2x2x2"
"""Normalized correlation over 5 x 5 x 5 voxels."""

ITERATIONS = "-n 100x50x20"
"""At 4, 2 and 1 voxels."""

SMOOTHING = "-s 1.732vox 0.707vox"
"""SDs of the Gaussians over each step and over the whole warp."""

REPEATABLE = "-noise 0"
"""Greedy adds noise to both images by default, under another seed at every call. Without it the same scan gives the
same bytes with one thread."""

WHOLE = "-wp 0"
"""Greedy rounds a warp to a tenth of a voxel by default."""

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def find_warps(
    fixed: ants.ANTsImage, moving: ants.ANTsImage, affine: Path, warp: Path, inverse_warp: Path, threads: int
) -> None:
    """Write the warp that lays `moving`, after the affine, on `fixed`, and its inverse, both on the fixed grid.

    `affine` is ITK's file of it; the warps are displacements in mm (LPS) for `ants.apply_transforms`, float32.
    """
    import picsl_greedy
    import SimpleITK as sitk  # noqa: N813

    greedy = picsl_greedy.Greedy3D()
    # what it prints is a row of dots
    silence = io.StringIO()
    with tempfile.TemporaryDirectory() as scratch:
        # an initial affine is read from a file alone
        np.savetxt(f"{scratch}/affine.txt", matrix_of(affine), fmt="%.17g")
        greedy.execute(
            f'-threads {threads} -V 0 -i fixed moving -it "{scratch}/affine.txt" {METRIC} {ITERATIONS} {SMOOTHING} '
            f"{REPEATABLE} {WHOLE} -o warp -oinv inverse",
            out=silence,
            err=silence,
            fixed=_to_sitk(fixed),
            moving=_to_sitk(moving),
            warp=None,
            inverse=None,
        )
    for name, file in (("warp", warp), ("inverse", inverse_warp)):
        sitk.WriteImage(sitk.Cast(greedy[name], sitk.sitkVectorFloat32), str(file), useCompression=True)


def matrix_of(affine: Path) -> np.ndarray:
    """ITK's affine as Greedy takes it: (4, 4), from the fixed image's places in mm (RAS) to the moving's."""
    import ants

    found = ants.read_transform(str(affine))
    turn, shift, center = np.split(np.array([*found.parameters, *found.fixed_parameters]), [9, 12])
    matrix = np.eye(4)
    matrix[:3, :3] = turn.reshape(3, 3)
    matrix[:3, 3] = shift + center - matrix[:3, :3] @ center
    return _LPS @ matrix @ _LPS


def _to_sitk(image: ants.ANTsImage):
    import SimpleITK as sitk  # noqa: N813

    # SimpleITK's arrays are (Z, Y, X)
    made = sitk.GetImageFromArray(np.ascontiguousarray(image.numpy().T))
    made.SetOrigin(image.origin)
    made.SetSpacing(image.spacing)
    made.SetDirection(image.direction.ravel().tolist())
    return made
