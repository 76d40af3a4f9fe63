"""What the preprocessing can be asked for. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.errors import InputError

Brain = Literal["auto", "atlas", "given", "stripped", "deepbet"]
Registration = Literal["syn", "greedy", "affine", "none"]

DEFORMABLE = ("syn", "greedy")
"""Those that leave a warp and its inverse."""


@dataclass(frozen=True)
class PreprocessOptions:
    """How scans are brought onto the common grid.

    Attributes
    ----------
    voxel_size_mm : of the grid.
    atlas : `image` and, where that has its skull, `mask`; None for nilearn's ICBM152 2009a.
    brain : where the brain mask comes from. auto: stripped where the image shows a brain alone, else deepbet
        (`studies.preprocessing.brain.is_stripped`). atlas: the atlas's, carried over by the registration, as in
        the paper. given: a file for each scan in `masks`. stripped: what stands out from a background of one
        value. deepbet: the network of that name (Fisch et al. 2024).
    masks : for `given`, a folder laid out as the dataset with `*_desc-brain_mask.nii.gz` for `*_T1w.nii.gz`;
        None: the dataset itself.
    n4 : whether to correct the bias field.
    registration : syn (affine, then symmetric diffeomorphic), greedy (affine, then Greedy), affine, or none for
        images that already lie on one grid; they keep theirs.
    syn_iterations : at 4, 2 and 1 voxels.
    syn_metric : mattes, mutual information; or cc, local correlation, which lays tissue on the atlas's better
        (of one real head at 2 mm GM .78 and WM .81 in Dice, not .72 and .75) in 4.6 times SyN's time.
    threads : of one scan's registration; with more than 1 the same scan no longer gives the same bytes.
    """

    voxel_size_mm: float = 1
    atlas: Mapping[str, str] | None = None
    brain: Brain = "auto"
    masks: str | None = None
    n4: bool = True
    registration: Registration = "syn"
    syn_iterations: tuple[int, ...] = (40, 20, 10)
    syn_metric: Literal["mattes", "cc"] = "mattes"
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0.5 <= self.voxel_size_mm <= 4:
            raise InputError(f"voxel_size_mm: {self.voxel_size_mm!r}; give 0.5 to 4")
        if self.registration == "none" and self.brain == "atlas":
            raise InputError("brain: atlas needs a registration; for images on one grid set another brain")
        if self.masks is not None and self.brain != "given":
            raise InputError(f"masks: {self.masks}: used with brain: given alone; set that, or take masks out")
        if self.atlas is not None and not {"image"} <= set(self.atlas) <= {"image", "mask"}:
            raise InputError("atlas: give `image`, and `mask` where the image has its skull")
        if not 1 <= len(self.syn_iterations) <= 4 or not all(0 <= count <= 1000 for count in self.syn_iterations):
            raise InputError(
                f"syn_iterations: {list(self.syn_iterations)[:9]}; give 1 to 4 numbers of 0 to 1000, coarse to fine"
            )
        if not 1 <= self.threads <= 1024:
            raise InputError(f"threads: {self.threads}; give 1 to 1024")
