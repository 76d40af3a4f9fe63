"""A NIfTI file: its header checked before anything else is read, its voxels read to the last byte and checksum.

Our own reading of the voxels, since nibabel's ends where the voxels do: a gzip file's checksum lies behind them, and
of 300 flipped bits it let 267 change an image. The whole file inflated by ISA-L, into room that the header was found
good for, takes half of the time too: at 1 mm 46 ms in place of 93 (zlib alone takes 70).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader

from core.errors import InputError
from core.paths import check_is_file

LARGEST_IMAGE = 2**27
"""Voxels: a grid of 512 x 512 x 512, which holds a head at 0.5 mm. It takes 0.5 GB as float32, and 2.1 while float64 is
read. A header that claims more is broken or hostile, or its image is to be cropped."""

LARGEST_EXTENSION = 2**24
"""Bytes between a header and its voxels, where some programs keep notes."""

MOST_COMPRESSED = 1040
"""gzip makes nothing smaller than by about 1032 to 1."""

PLAUSIBLE_VOXEL_MM = (0.2, 10.0)
"""Edges of the voxels of a scan of a living head."""

IN_MM = {1: ("meters", 1e3), 3: ("micrometers", 1e-3)}
"""By the header's code of its unit of length, the unit's name and its size; every other code means mm, also 0, unknown,
which many programs leave there."""

SLABS = 32
"""Planes brought into the order of C together: one at a time takes 3 times as long, all at once twice."""

_BROKEN: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub calls the class an instance

UNREADABLE = (
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    _BROKEN,
)
"""What comes of a file that isn't what it says."""


@dataclass(frozen=True)
class NiftiFile:
    """A NIfTI file whose header is sound, its voxels unread.

    `affine` (4, 4) is voxel to mm, whatever unit the file is in. `voxels` is the file that holds the voxels, which
    isn't `path` where header and voxels are a pair of files.
    """

    path: Path
    voxels: Path
    header: Nifti1Header
    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def kind(self) -> np.dtype:
        """The type of the voxels in the file."""
        kind: np.dtype = self.header.get_data_dtype()
        return kind

    @property
    def bytes(self) -> int:
        """How long the file of the voxels is, inflated, by the header."""
        return int(self.header.get_data_offset()) + int(np.prod(self.shape, dtype=np.int64)) * self.kind.itemsize

    def read(self) -> np.ndarray:
        """The voxels, scaled as the header says: float32 of `shape`, in C's order.

        The file is read to its end: raises `InputError` for a broken, truncated or prolonged one, by gzip's checksum
        too.
        """
        try:
            stored = np.empty(int(np.prod(self.shape, dtype=np.int64)), self.kind)
            with _stream(self.voxels) as stream:
                stream.read(int(self.header.get_data_offset()))
                filled = stream.readinto(stored.view(np.uint8).data)  # type: ignore[attr-defined]  # of all streams
                beyond = stream.read(1)
        except UNREADABLE as error:
            raise InputError(f"{self.voxels}: its voxels cannot be read ({error}); copy it anew") from None
        if filled < stored.nbytes:
            raise InputError(
                f"{self.voxels}: holds {filled} bytes of voxels, its header claims {stored.nbytes}; it is truncated: "
                "copy it anew"
            )
        if beyond:
            raise InputError(
                f"{self.voxels}: goes on after the {stored.nbytes} bytes of voxels that its header claims; it is "
                "broken: copy it anew"
            )
        self._check_end()
        return self._scaled(stored.reshape(self.shape, order="F"))

    def _check_end(self) -> None:
        """Refuse what follows a gzip stream's last bytes, its length: readers of gzip pass over zeros there."""
        if _is_compressed(self.voxels):
            with open(self.voxels, "rb") as file:
                file.seek(-4, os.SEEK_END)
                length = int.from_bytes(file.read(), "little")
            if length != self.bytes % 2**32:
                raise InputError(
                    f"{self.voxels}: something follows the end of its gzip stream, or it is several of them; copy it "
                    "anew, or unpack it and pack it again"
                )

    def _scaled(self, stored: np.ndarray) -> np.ndarray:
        slope, inter = self.header.get_slope_inter()
        scaled = np.empty(self.shape, np.float32)
        # what float32 can't hold becomes infinite, and is refused where the brain is looked at
        with np.errstate(all="ignore"):
            for start in range(0, self.shape[-1], SLABS):
                part = stored[..., start : start + SLABS]
                if (slope, inter) not in ((None, None), (1, 0)):
                    part = part.astype(np.float64) * slope + inter
                scaled[..., start : start + SLABS] = part
        return scaled


def open_nifti(path: Path | str, *, dimensions: int = 3) -> NiftiFile:
    """Read the header of a NIfTI file and refuse one that no scan has, before its voxels are read.

    Raises `InputError` where the file is absent or not a NIfTI image, not of so many dimensions, too large, of voxels
    that aren't one real number each or have no plausible size, scaled by no number, or of more voxels than it can hold.
    """
    path = Path(path)
    header_file, voxel_file = _files(path)
    for file in (header_file, voxel_file):
        check_is_file(file)
        if file.stat().st_size == 0:
            raise InputError(f"{file}: empty (0 bytes); copy it anew")
    try:
        with _stream(header_file) as stream:
            block = stream.read(Nifti2Header.sizeof_hdr)
        # a header's numbers may overflow; what comes of it is refused below
        with np.errstate(all="ignore"):
            header = _header(block, pair=header_file != voxel_file)
            if header is None:
                raise InputError(f"{path}: not a NIfTI image; convert it to .nii.gz")
            kind, shape = header.get_data_dtype(), header.get_data_shape()
            affine = np.array(header.get_best_affine(), dtype=np.float64)
            offset = int(header.get_data_offset())
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable NIfTI image ({error}); copy or convert it anew") from None
    _check_kind(path, header, kind)
    shape = _checked_shape(path, shape, dimensions)
    if not 0 <= offset <= Nifti2Header.single_vox_offset + LARGEST_EXTENSION:
        raise InputError(f"{path}: its header says that its voxels begin at byte {offset}; copy it anew")
    unit, size = IN_MM.get(int(header["xyzt_units"]) & 7, ("millimeters", 1.0))
    affine[:3] *= size
    _check_affine(path, affine, unit)
    opened = NiftiFile(path, voxel_file, header, shape, affine)
    held = voxel_file.stat().st_size
    if opened.bytes > held * (MOST_COMPRESSED if _is_compressed(voxel_file) else 1):
        raise InputError(
            f"{path}: its header claims {opened.bytes - offset} bytes of voxels, more than the file holds "
            f"({held} bytes); it is truncated or broken: copy it anew"
        )
    return opened


def check_whole(path: Path) -> None:
    """Refuse a packed file that's broken or truncated, whatever it holds: for what others' code is to read."""
    try:
        with _stream(path) as stream:
            while stream.read(2**20):
                pass
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error}); make it anew") from None


def _is_compressed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _stream(path: Path) -> BinaryIO:
    return igzip.open(path) if _is_compressed(path) else open(path, "rb")  # type: ignore[no-untyped-call]


def _files(path: Path) -> tuple[Path, Path]:
    """The files of the header and of the voxels, by name: one file, or a pair .hdr and .img."""
    inner = path.with_suffix("") if _is_compressed(path) else path
    if inner.suffix.lower() not in (".hdr", ".img"):
        return path, path
    ending = path.suffix if inner != path else ""
    header, voxels = (inner.with_suffix(suffix) for suffix in (".hdr", ".img"))
    return header.with_name(header.name + ending), voxels.with_name(voxels.name + ending)


def _header(block: bytes, *, pair: bool) -> Nifti1Header | None:
    """The header that begins with `block`, of either version and byte order; None where it is no NIfTI header."""
    kinds = (Nifti1PairHeader, Nifti2PairHeader) if pair else (Nifti1Header, Nifti2Header)
    for kind in kinds:
        if kind.may_contain_header(block):
            header: Nifti1Header = kind(block[: kind.sizeof_hdr])  # type: ignore[no-untyped-call]
            return header
    return None


def _check_kind(path: Path, header: Nifti1Header, kind: np.dtype) -> None:
    if kind.kind in "cV":
        named = f"RGB colors ({', '.join(kind.names)})" if kind.names else str(kind)
        raise InputError(f"{path}: its voxels are {named}; give an image of one real number a voxel")
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or (slope and not np.isfinite(inter)):
        raise InputError(
            f"{path}: its header scales voxels by {slope:g} and adds {inter:g} (scl_slope, scl_inter); give numbers, "
            "1 and 0 for none, or convert it anew"
        )


def _checked_shape(path: Path, shape: tuple[int, ...], dimensions: int) -> tuple[int, ...]:
    given = shape
    if len(shape) == 4 and shape[3] == 1 and dimensions == 3:
        shape = shape[:3]
    if len(shape) != dimensions:
        raise InputError(f"{path}: has {len(shape)} dimensions {given}; give a {dimensions}-D image")
    if min(shape) < 1:
        raise InputError(f"{path}: its header claims {given} voxels, which no scan has; copy it anew")
    if np.prod(shape, dtype=float) > LARGEST_IMAGE:
        raise InputError(
            f"{path}: its header claims {given} voxels, which no scan has: at most {LARGEST_IMAGE} are read "
            "(512 x 512 x 512); copy it anew, or crop it to the head"
        )
    return tuple(int(size) for size in shape)


def _check_affine(path: Path, affine: np.ndarray, unit: str) -> None:
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        raise InputError(f"{path}: its affine isn't one (not finite, or voxels of no volume); repair the header")
    edges = nib.affines.voxel_sizes(affine)
    low, high = PLAUSIBLE_VOXEL_MM
    if not (np.isfinite(edges).all() and edges.min() >= low and edges.max() <= high):
        shown = " x ".join(f"{edge:g}" for edge in edges)
        raise InputError(
            f"{path}: voxels of {shown} mm, by a header in {unit}; a scan's are {low:g} to {high:g} mm: correct its "
            "header"
        )
