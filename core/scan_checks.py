"""Whether a sheet's scans can be used: every image and mask is read once, before any long work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from core.brain import brain_of
from core.errors import InputError, remark
from core.images import check_positive, load_on_grid, to_mask
from core.study import Scan


def check_scans(scans: Sequence[Scan], *, positive: bool) -> None:
    """Refuse the first scan of a sheet, in its order, that can't be used beside the others.

    Those are scans that `check_scan` refuses, and one scan in two rows. Raises `InputError` naming file and row.
    """
    seen: dict[bytes, Scan] = {}
    for scan in scans:
        try:
            voxels = check_scan(scan, scans[0], positive=positive)
            earlier = seen.setdefault(hashlib.sha256(voxels.data).digest(), scan)
            if earlier is not scan:
                _check_twice(scan, earlier)
        except InputError as error:
            raise InputError(f"{scan.row}: {error}") from None


def check_scan(scan: Scan, first: Scan, *, positive: bool) -> np.ndarray:
    """The voxels (X, Y, Z) of a scan, float32; refuses one that cannot be used beside `first`.

    Refused are an absent or unreadable file, a shape or affine that isn't the first scan's, a mask that is empty, not
    0/1 or not the image's (`core.brain`), NaN or infinite voxels in the brain, an image of one value there and, where
    `positive` ones are needed, of negative ones (`core.images.check_positive`).
    """
    voxels = load_on_grid(scan.image, first.shape, first.affine, "the first scan")
    mask = to_mask(load_on_grid(scan.mask, first.shape, first.affine, "the first scan"), scan.mask)
    values = voxels[mask]
    broken = int(np.count_nonzero(~np.isfinite(values)))
    if broken:
        raise InputError(
            f"{scan.image} has {broken} NaN or infinite voxels in the brain; repair it or leave the row out"
        )
    if values.min() == values.max():
        raise InputError(
            f"{scan.image} is {values[0]:g} everywhere in the brain; is it the right file, and {scan.mask} its mask, "
            "not inverted? Leave the row out"
        )
    brain = brain_of(voxels, mask, f"{scan.mask}, the mask of {scan.image}")
    if positive:
        check_positive(voxels[brain], scan.image)
    return voxels


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
