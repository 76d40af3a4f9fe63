"""Whether a sheet's scans can be used: every image and mask is read once, before any long work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.brain import brain_of
from core.errors import InputError, remark
from core.images import check_positive, load_on_grid, to_mask
from core.study import Scan

SAMPLE = 10_000
"""Voxels by which a scan is told from others."""

ALIKE = 1e-5
"""Two scans whose brains correlate by more than 1 less this are one: rounding to whole numbers of some hundred gives
1 - 3e-7, noise of 1 % of the mean 1 - 2e-4 at most."""


def check_scans(scans: Sequence[Scan], *, positive: bool) -> None:
    """Refuse the first scan of a sheet, in its order, that can't be used beside the others.

    Those are scans that `check_scan` refuses, and one scan in two rows. Raises `InputError` naming file and row. Of a
    scan that is another's on another scale, or rounded, it is told.
    """
    seen: dict[bytes, Scan] = {}
    seen_t2: dict[bytes, Scan] = {}
    samples: np.ndarray | None = None
    for place, scan in enumerate(scans):
        try:
            voxels, brain = check_scan(scan, scans[0], positive=positive)
            sample = _sample(voxels, brain)
            samples = np.empty((len(scans), sample.size), np.float32) if samples is None else samples
            samples[place] = sample
            own = hashlib.sha256(voxels.data).digest()
            if scan.t2 is not None:
                beside = hashlib.sha256(check_t2(scan, brain, positive=positive).data).digest()
                _check_t2_is_its_own(scan, seen_t2.setdefault(beside, scan), is_image=beside == own)
            earlier = seen.setdefault(own, scan)
            if earlier is not scan:
                _check_twice(scan, earlier)
            elif place:
                _tell_alike(scan, scans, samples[:place] @ sample)
        except InputError as error:
            raise InputError(f"{scan.row}: {error}") from None


def _sample(voxels: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Some voxels (N,) of a brain, 0 outside, so that the product of two scans' is their correlation."""
    step = max(1, round((voxels.size / SAMPLE) ** (1 / 3)))
    few = (slice(None, None, step),) * 3
    values = np.where(brain[few], voxels[few], 0).ravel().astype(np.float32)
    values -= values.mean(dtype=np.float64)
    length = np.linalg.norm(values)
    return values / length if length else values


def check_scan(scan: Scan, first: Scan, *, positive: bool) -> tuple[np.ndarray, np.ndarray]:
    """The voxels (X, Y, Z) of a scan, float32, and its brain; refuses one that cannot be used beside `first`.

    Refused are an absent or unreadable file, a shape or affine that isn't the first scan's, a mask that is empty, not
    0/1 or not the image's (`core.brain`), NaN or infinite voxels in the brain, an image of one value there and, where
    `positive` ones are needed, of negative ones (`core.images.check_positive`).
    """
    voxels = load_on_grid(scan.image, first.shape, first.affine, "the first scan")
    mask = to_mask(load_on_grid(scan.mask, first.shape, first.affine, "the first scan"), scan.mask)
    _check_values(voxels[mask], scan.image, scan.mask, "leave the row out")
    brain = brain_of(voxels, mask, f"{scan.mask}, the mask of {scan.image}")
    if positive:
        check_positive(voxels[brain], scan.image)
    return voxels, brain


def check_t2(scan: Scan, brain: np.ndarray, *, positive: bool) -> np.ndarray:
    """The voxels (X, Y, Z) of a scan's T2-weighted image, float32; refused as `check_scan` refuses the image itself."""
    assert scan.t2 is not None
    voxels = load_on_grid(scan.t2, scan.shape, scan.affine, f"{scan.image}, whose T2-weighted image it is,")
    _check_values(voxels[brain], scan.t2, scan.mask, "leave the cell empty")
    if positive:
        check_positive(voxels[brain], scan.t2)
    return voxels


def _check_values(values: np.ndarray, image: Path, mask: Path, remedy: str) -> None:
    """Refuse an image whose voxels in the brain (n,) aren't finite, or all the same."""
    broken = int(np.count_nonzero(~np.isfinite(values)))
    if broken:
        raise InputError(f"{image} has {broken} NaN or infinite voxels in the brain; repair it or {remedy}")
    if values.min() == values.max():
        raise InputError(
            f"{image} is {values[0]:g} everywhere in the brain; is it the right file, and {mask} its mask, not "
            f"inverted? {remedy[0].upper()}{remedy[1:]}"
        )


def _check_t2_is_its_own(scan: Scan, earlier: Scan, *, is_image: bool) -> None:
    """Refuse a T2-weighted image that is the scan's T1-weighted one, or another person's or scanner's."""
    if is_image:
        raise InputError(f"{scan.t2}, column t2, has the same voxels as {scan.image}; leave the cell empty")
    if (scan.subject, scan.scanner) != (earlier.subject, earlier.scanner):
        raise InputError(
            f"{scan.t2}, column t2, has the same voxels as {earlier.t2} ({earlier.row}); give each row its own, or "
            "leave the cell empty"
        )


def _check_twice(scan: Scan, earlier: Scan) -> None:
    """Refuse a scan with the voxels of an earlier row's.

    A simulated person's rescan may have them by right: without noise there is nothing to tell the two apart.
    """
    told = f"{scan.image} has the same voxels as {earlier.image} ({earlier.row})"
    again = (scan.subject, scan.scanner) == (earlier.subject, earlier.scanner)
    if again and scan.covariates.get("simulated") and not scan.image.samefile(earlier.image):
        remark(f"{told}: a rescan without noise says nothing")
        return
    raise InputError(f"{told}: one scan would be compared with itself; give each row its own, or leave one out")


def _tell_alike(scan: Scan, earlier: Sequence[Scan], correlations: np.ndarray) -> None:
    """Tell of a scan whose brain is that of an earlier row's on another scale, or rounded."""
    likest = int(np.argmax(correlations))
    if correlations[likest] > 1 - ALIKE:
        other = earlier[likest]
        remark(
            f"{scan.row}: {scan.image} is {other.image} ({other.row}) but for its scale or rounding: one scan would be "
            "compared with itself"
        )
