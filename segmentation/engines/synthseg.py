"""SynthSeg (Billot et al., Medical Image Analysis 2023), by DIPY's port, where its weights are.

DIPY gives labels of structures, no probabilities: each of a tissue's voxels has it for sure. It takes two CPU
minutes and 16 GB a scan, since the network works on 192 voxels of 1 mm along each axis whatever the image's. Tried
with random weights in DIPY's network alone, not with the trained ones.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.libraries import check_libraries
from core.names import TISSUES
from segmentation.interface import Segmentation
from segmentation.tissue_maps import from_posteriors

PARTIAL_VOLUMES = False
ON_ATLAS = True

STRUCTURES = {
    "CSF": (4, 5, 14, 15, 24, 43, 44),
    "GM": (3, 8, 10, 11, 12, 13, 17, 18, 26, 42, 47, 49, 50, 51, 52, 53, 54, 58),
    "WM": (2, 7, 16, 28, 41, 46, 60),
}
"""FreeSurfer's numbers of a tissue's structures: ventricles and CSF; cortex and nuclei; white matter, brain stem and
ventral diencephalon."""

WEIGHTS = "synthseg_model_weights.pth"


def check() -> None:
    """Refuse to begin without DIPY, or without the weights: a run fetches nothing by itself."""
    check_libraries(["dipy", "torch"], "segmentation engine synthseg")
    file = _weights()
    if not file.exists():
        raise InputError(
            f"engine synthseg: its weights, {file}, aren't there; fetch them once: "
            'python -c "from dipy.data import fetch_synthseg_torch_weights as fetch; fetch()"'
        )


def segment(
    image: np.ndarray,
    mask: np.ndarray,
    voxel_sizes: tuple[float, float, float],
    threads: int,
    partial_volumes: bool,
    *,
    affine: np.ndarray,
) -> Segmentation:
    """Label structures, and tissues by them; a voxel that SynthSeg has outside the brain is of none.

    Raises
    ------
    InputError
        DIPY or the weights aren't there.
    """
    check()
    import torch

    torch.set_num_threads(threads)
    structures, _, _ = _network().predict(np.where(mask, image, np.float32(0)), affine)
    posteriors = np.stack([mask & np.isin(structures, STRUCTURES[tissue]) for tissue in TISSUES]).astype(np.float32)
    return from_posteriors("synthseg", posteriors, image[mask], mask, partly=True)


def _weights() -> Path:
    home = os.environ.get("DIPY_HOME")
    return (Path(home) if home else Path.home() / ".dipy") / "synthseg" / WEIGHTS


@cache
def _network() -> Any:
    from dipy.nn.torch.synthseg import SynthSeg

    return SynthSeg()
