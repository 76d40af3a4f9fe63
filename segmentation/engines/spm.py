"""The real SPM's segmentation, where its standalone is installed: `spm batch`, by a file of its own defaults.

Tried with a stand-in program alone (`tests/segmentation/test_spm.py`). A brain without its head lacks what SPM's last
three classes are of, and these take some of its edge: tissues needn't add up to 1.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images import save_image
from segmentation.interface import Segmentation
from segmentation.tissue_maps import from_posteriors, read_maps

PARTIAL_VOLUMES = False
ON_ATLAS = True

MAPS = ("c3brain.nii", "c1brain.nii", "c2brain.nii")
"""CSF, GM and WM; SPM's order is GM, WM, CSF."""

BIAS = "BiasField_brain.nii"

JOB = """maps = fullfile(spm('Dir'), 'tpm', 'TPM.nii');
job.channel = struct('vols', {{{{'{image},1'}}}}, 'biasreg', 0.001, 'biasfwhm', 60, 'write', [1 0]);
gaussians = [1 1 2 3 4 2];
for k = 1:6
    job.tissue(k) = struct('tpm', {{{{sprintf('%s,%d', maps, k)}}}}, 'ngaus', gaussians(k), ...
        'native', [k <= 3, 0], 'warped', [0 0]);
end
job.warp = struct('mrf', 1, 'cleanup', 1, 'reg', [0 0.001 0.5 0.05 0.2], 'affreg', 'mni', ...
    'fwhm', 0, 'samp', 3, 'write', [0 0]);
matlabbatch{{1}}.spm.spatial.preproc = job;
"""

LONGEST_WORD = 500


def check() -> None:
    """Refuse to begin where SPM's standalone isn't installed."""
    if shutil.which("spm") is None:
        raise InputError(
            "engine spm: there is no 'spm' on the PATH; install its standalone (pip install spm-runtime, and the free "
            "MATLAB Runtime), or take the engine unified, SPM's model without it"
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
    """Run SPM on the mask's voxels; see `segmentation.interface.segment`.

    Raises
    ------
    InputError
        SPM isn't installed, or left no result; with the end of what it said.
    """
    check()
    with tempfile.TemporaryDirectory(prefix="spm-") as made:
        folder = Path(made)
        save_image(folder / "brain.nii", np.where(mask, image, np.float32(0)), affine)
        (folder / "job.m").write_text(JOB.format(image=folder / "brain.nii"))
        ended = subprocess.run(
            ["spm", "batch", str(folder / "job.m")], cwd=folder, capture_output=True, text=True, errors="replace"
        )
        try:
            posteriors = read_maps([folder / name for name in MAPS], image.shape) * mask
            correction = read_maps([folder / BIAS], image.shape)[0]
        except (InputError, ValueError) as error:
            said = " ".join(f"{ended.stdout} {ended.stderr}".split())[-LONGEST_WORD:]
            raise InputError(f"SPM left no result (exit status {ended.returncode}): {said or error}") from None
    return from_posteriors(
        "spm",
        posteriors,
        (image * correction)[mask],
        mask,
        partly=True,
        bias_field=np.divide(1, correction, out=np.zeros_like(correction), where=mask & (correction > 0)),
    )
