"""Axial slices of a study: the common box they are cut to, and a store of them on disk.

Slices are mapped from disk, so that memory does not grow with the number of scans.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from core.boxes import Span, cut, paste, spans
from core.brain_edge import depth
from core.errors import InputError
from core.study import Study
from mispel.errors import TrainingError
from mispel.network import SIZE_STEP
from mispel.outside import MARGIN, surrounded
from mispel.parameters import Outside


def axial_axis(affine: np.ndarray) -> int:
    """The array axis that runs from foot to head, by the affine (4, 4)."""
    return int(np.flatnonzero(nib.io_orientation(affine)[:, 0] == 2)[0])


def to_slices(volume: np.ndarray, axis: int) -> np.ndarray:
    """A volume (X, Y, Z) as a stack of axial slices (S, H, W)."""
    return np.moveaxis(volume, axis, 0)


def from_slices(stack: np.ndarray, axis: int) -> np.ndarray:
    """The inverse of `to_slices`."""
    return np.moveaxis(stack, 0, axis)


@dataclass(frozen=True)
class Box:
    """A rectangle of the slices' plane, in voxels; it may reach beyond the image, where there is only 0."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def shifted(self, rows: int, columns: int) -> Box:
        """The box, moved."""
        return Box(self.top + rows, self.bottom + rows, self.left + columns, self.right + columns)

    def around(self, mask: np.ndarray, margin: int) -> Box:
        """This box, grown outward in steps of 4 until it holds a mask (S, H, W) and a margin around it, in voxels.

        Steps of 4 leave every voxel where it was on the pooled grids of the encoder.
        """
        top, bottom, left, right = _bounds(mask, margin)
        return Box(
            self.top - _steps(self.top - top),
            self.bottom + _steps(bottom - self.bottom),
            self.left - _steps(self.left - left),
            self.right + _steps(right - self.right),
        )

    @property
    def spans(self) -> tuple[Span, Span]:
        """Along the rows and columns of a slice."""
        return (self.top, self.bottom), (self.left, self.right)

    def cut(self, stack: np.ndarray) -> np.ndarray:
        """The slices (S, H, W) inside the box, 0 where it reaches beyond them; contiguous."""
        return cut(stack, self.spans)

    def paste(self, part: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The inverse of `cut`: slices of the given height and width, 0 outside the box."""
        return paste(part, self.spans, shape)


def _steps(missing: int) -> int:
    """`missing` voxels, rounded up to a multiple of 4; 0 when nothing is missing."""
    return SIZE_STEP * -(-max(missing, 0) // SIZE_STEP)


def _bounds(mask: np.ndarray, margin: int) -> tuple[int, int, int, int]:
    """First and last row and column of a mask (S, H, W) that isn't empty, and so many voxels beyond them."""
    (top, bottom), (left, right) = spans(np.any(mask, axis=0)) or ((0, 0), (0, 0))
    return top - margin, bottom + margin, left - margin, right + margin


def common_box(masks: Iterable[np.ndarray], margin: int) -> Box:
    """The smallest box that holds all masks (S, H, W each) and a margin, its height and width divisible by 4.

    Raises `InputError` when there is no mask.
    """
    bounds = [_bounds(mask, margin) for mask in masks]
    if not bounds:
        raise InputError("there is no scan to train on")
    edges = np.array(bounds)
    top, left = edges[:, [0, 2]].min(axis=0)
    bottom, right = edges[:, [1, 3]].max(axis=0)
    return Box(int(top), int(top + _steps(bottom - top)), int(left), int(left + _steps(right - left)))


@dataclass(frozen=True)
class Grid:
    """The study's grid, which a scan to harmonize must share but for the position of its edges."""

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def axis(self) -> int:
        """The axis of the slices."""
        return axial_axis(self.affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Of voxels in mm: from slice to slice, along rows and along columns."""
        sizes = np.linalg.norm(self.affine[:3, :3], axis=0)
        across, rows, columns = sizes[self.axis], *np.delete(sizes, self.axis)
        return float(across), float(rows), float(columns)

    def upright(self, slices: np.ndarray) -> np.ndarray:
        """Slices (..., H, W) as one looks at them: rows from front to back, columns from left to right."""
        rows, columns = np.delete(nib.io_orientation(self.affine), self.axis, axis=0)
        if rows[0] == 0:
            slices, (rows, columns) = slices.swapaxes(-1, -2), (columns, rows)
        return np.ascontiguousarray(slices[..., :: -int(rows[1]), :: int(columns[1])])

    def plane_shift(self, affine: np.ndarray) -> tuple[int, int]:
        """By how many voxels (rows, columns) this grid's slices are shifted within those of another grid.

        Raises `InputError` when the other grid's voxels have another size or orientation.
        """
        difference = float(np.abs(affine[:3, :3] - self.affine[:3, :3]).max())
        if difference > 1e-3:
            raise InputError(
                f"voxel sizes or orientation differ from the training scans' by up to {difference:.4g} mm; "
                "resample the scan onto the training scans' grid"
            )
        shift = np.linalg.solve(self.affine[:3, :3], self.affine[:3, 3] - affine[:3, 3])
        rows, columns = np.delete(np.round(shift).astype(int), self.axis)
        return int(rows), int(columns)


def network_slices(
    image: np.ndarray, mask: np.ndarray, box: Box, grid: Grid, positions: np.ndarray, *, outside: Outside
) -> np.ndarray:
    """A scan (X, Y, Z) as the encoders see it: its slices at rising `positions` inside a box (N, H, W), float32.

    Box and positions hold the whole brain, so that the nearest brain voxel is the same as in the whole scan.
    """
    between = slice(positions[0], positions[-1] + 1)
    stack, inside = (box.cut(to_slices(volume, grid.axis)[between]) for volume in (image, mask))
    stack = surrounded(stack.astype(np.float32, copy=False), inside, grid.spacing, outside=outside)
    return np.ascontiguousarray(stack[positions - positions[0]])


@dataclass(frozen=True)
class SliceStore:
    """Slices that hold brain, the same index from each scanner.

    images: for each scanner an array (N, H, W), float32, on disk; 0 where the scan is missing.
    depths: for each scanner, as `core.brain_edge.depth` counts them (N, H, W), uint8, on disk; 0 is no brain.
    present: (N, M), whether slice and scanner were scanned.
    subjects, positions: (N,) each, whose slice it is and which of the volume's.
    checksum: of the bytes of images and depths, as hexadecimal.
    brain_means: the least and the greatest of the scans' means over their brains.
    """

    scanners: tuple[str, ...]
    images: tuple[np.ndarray, ...]
    depths: tuple[np.ndarray, ...]
    present: np.ndarray
    subjects: np.ndarray
    positions: np.ndarray
    box: Box
    grid: Grid
    scale: str
    checksum: str
    brain_means: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.present)


def new_array(path: Path, shape: tuple[int, ...], dtype: np.dtype | type) -> np.memmap:
    """A new array on disk, its space allotted now: a full disk shows as an error here and not as a crash later.

    Raises `TrainingError` naming the folder and the size needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "r+b") as stream:
        try:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        except OSError as error:
            path.unlink()
            raise TrainingError(
                f"{path.parent}: {error.strerror}; {array.nbytes / 1e9:.1f} GB more are needed there: free them, "
                "or work on a larger disk (--checkpoint FOLDER, or TMPDIR)"
            ) from None
    return array


def mapped(folder: Path, scanners: int) -> dict[str, tuple[np.ndarray, ...]]:
    """A store's images and depths by scanner, mapped from the files that `build_store` wrote into `folder`."""
    names = {"images": "scanner", "depths": "depth"}
    return {
        kind: tuple(np.load(folder / f"{name}-{number}.npy", mmap_mode="c") for number in range(scanners))
        for kind, name in names.items()
    }


def build_store(study: Study, folder: Path, *, outside: Outside) -> SliceStore:
    """Read every scan once and write its slices, cut to the masks' common box, into `folder`.

    A slice is kept when any of the subject's masks has brain there; `outside` says what lies around a scan's own.
    Raises `InputError` for a study of fewer than two scanners or with voxels that aren't finite.
    """
    scanners = tuple(study.scanners)
    if len(scanners) < 2:
        raise InputError(f"MISPEL harmonizes between scanners and there is only {scanners[0]}; add another's scans")
    grid = Grid(study.shape, study.affine)
    masks = (to_slices(scan.read_mask(), grid.axis) for scan in study.scans)
    has_brain = {subject: np.zeros(study.shape[grid.axis], bool) for subject in study.subjects}

    def seen(masks: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
        for scan, mask in zip(study.scans, masks, strict=True):
            has_brain[scan.subject] |= mask.any(axis=(1, 2))
            yield mask

    box = common_box(seen(masks), MARGIN[outside])
    positions = {subject: np.flatnonzero(slices) for subject, slices in has_brain.items()}
    counts = [len(positions[subject]) for subject in study.subjects]
    total = sum(counts)
    present = np.zeros((total, len(scanners)), bool)
    digest = 0
    means = []
    for number, scanner in enumerate(scanners):
        array = new_array(folder / f"scanner-{number}.npy", (total, *box.shape), np.float32)
        layers = new_array(folder / f"depth-{number}.npy", (total, *box.shape), np.uint8)
        begin = 0
        for subject, count in zip(study.subjects, counts, strict=True):
            scan = study.find(subject, scanner)
            if scan is not None:
                mask = scan.read_mask()
                image = scan.read()
                cut = network_slices(image, mask, box, grid, positions[subject], outside=outside)
                if not np.isfinite(cut).all():
                    raise InputError(f"{scan.image}: NaN or infinite voxels in the brain; repair it or leave it out")
                deep = box.cut(to_slices(depth(mask), grid.axis)[positions[subject]])
                means.append(float(image[mask].mean(dtype=np.float64)))
                digest = zlib.crc32(deep.data, zlib.crc32(cut.data, digest))
                array[begin : begin + count] = cut
                layers[begin : begin + count] = deep
                present[begin : begin + count, number] = True
            begin += count
        array.flush()
        layers.flush()
    return SliceStore(
        scanners=scanners,
        **mapped(folder, len(scanners)),
        present=present,
        subjects=np.repeat(study.subjects, counts),
        positions=np.concatenate([positions[subject] for subject in study.subjects]),
        box=box,
        grid=grid,
        scale=study.scans[0].scale,
        checksum=f"{digest:08x}",
        brain_means=(min(means), max(means)),
    )
