"""The real FAST, through Nipype, where FSL is installed.

`fast -t 1 -n 3 -g -p -b`: its last posteriors and its partial volumes (`--nopve` would give
posteriors that aren't the final ones).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images import save_image
from core.libraries import check_libraries
from core.names import TISSUES
from segmentation.interface import Segmentation
from segmentation.tissue_maps import read_maps, tissue_moments


def segment(
    image: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: tuple[float, float, float],
    threads: int,
    partial_volumes: bool,
) -> Segmentation:
    """Run FAST on the mask's voxels; see `segmentation.interface.segment`.

    FAST works on one thread and estimates the partial volumes in any case.

    Raises
    ------
    InputError
        FSL or Nipype isn't installed, or FAST left no result.
    """
    check()
    # Nipype asks a server for its newest version when it is imported.
    os.environ.setdefault("NIPYPE_NO_ET", "1")
    from nipype.interfaces.fsl import FAST

    with tempfile.TemporaryDirectory(prefix="fast-") as folder:
        source = Path(folder, "brain.nii.gz")
        affine = np.diag([*voxel_sizes, 1.0])
        brain = np.where(mask, image, np.float32(0))
        save_image(source, brain, affine)
        fast = FAST(
            in_files=[str(source)],
            # A bare name: with a folder in it, Nipype looks for the outputs elsewhere.
            out_basename="fast",
            img_type=1,
            number_classes=len(TISSUES),
            segments=True,
            probability_maps=True,
            output_biasfield=True,
            output_type="NIFTI_GZ",
        )
        fast.terminal_output = "file_split"
        try:
            found = fast.run(cwd=folder).outputs
            # FAST may end with status 0 and nothing written, or only part of it.
            posteriors = read_maps(found.probability_maps, image.shape)
            fractions = read_maps(found.partial_volume_files, image.shape)
            bias_field = read_maps([found.bias_field], image.shape)[0]
            labels = read_maps([found.tissue_class_map], image.shape)[0].astype(np.uint8)
        except (InputError, OSError, RuntimeError, ValueError) as error:
            raise InputError(f"FAST left no result: {_said(Path(folder)) or error}") from None

    values = np.log1p(image[mask], dtype=np.float64) - np.log(bias_field[mask], dtype=np.float64)
    means, variances = tissue_moments(values, posteriors[:, mask])
    return Segmentation(
        posteriors=posteriors,
        labels=labels,
        bias_field=bias_field,
        means=means,
        variances=variances,
        partial_volumes=fractions,
        engine="fsl",
    )


def check() -> None:
    """Refuse to begin where FSL, or Nipype, isn't installed."""
    missing = []
    if not os.environ.get("FSLDIR"):
        missing.append("FSLDIR is not set")
    if shutil.which("fast") is None:
        missing.append("there is no 'fast' on the PATH")
    if missing:
        raise InputError(
            f"engine fsl: {' and '.join(missing)}; install FSL 6 (https://fsl.fmrib.ox.ac.uk, free "
            "for non-commercial use), source its etc/fslconf/fsl.sh, or take the engine hmrf"
        )
    check_libraries(["nipype"], "engine fsl", instead="take the engine hmrf")


def _said(folder: Path) -> str:
    """What FAST printed, as one line."""
    printed = [folder / "stdout.nipype", folder / "stderr.nipype"]
    return " ".join(" ".join(p.read_text(errors="replace") for p in printed if p.exists()).split())
