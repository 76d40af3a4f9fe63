"""What is known of people at a follow-up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pandas as pd

from core.files import as_written
from core.images import voxel_volume_ml
from core.study import Scan
from evaluation.arms.images import load_fractions
from evaluation.measures.volumes import fraction_volumes

TRUE_IDS = ("subject", "scanner", "session", "tissue")


def true_volumes(scans: Sequence[Scan]) -> pd.DataFrame:
    """The true volumes of scans: `TRUE_IDS` and true_volume_ml, the sum of the fractions that the sheet names.

    Scans of which they aren't known have no row. A file that several scans name is read once.
    """
    volumes_of = cache(lambda path, voxel_ml: fraction_volumes(load_fractions(path), voxel_ml))
    rows = []
    for scan in scans:
        fractions = scan.file("truth_fractions")
        if fractions is not None:
            rows += [
                (scan.subject, scan.scanner, scan.session, tissue, as_written(volume))
                for tissue, volume in volumes_of(fractions, voxel_volume_ml(scan.affine)).items()
            ]
    return pd.DataFrame(rows, columns=[*TRUE_IDS, "true_volume_ml"]).astype({"true_volume_ml": float})
