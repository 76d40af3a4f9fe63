"""Volumes over the intracranial volume, as studies compare people, and how they differ between scanners.

The intracranial volume is CSF + GM + WM by the same rule. Of an arm of images that is the volume of the scan's brain
mask, which no arm changes: where a person's scanners share one mask, as where all were registered together, every
volume of the person is divided by one number, and an arm's difference is its difference in mL in another unit.
The share says more than mL in two cases: where masks differ between scanners, whose size it takes out, and for arms
of volumes, whose tissues needn't add up to the mask.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation import volume_rules
from evaluation.measures.interface import Measure, Measured
from evaluation.scan_pairs import side_by_side

TABLE = "intracranial_shares"
COLUMNS = ["method", "subject", "scanner_a", "scanner_b", "tissue", "share_a", "share_b", "difference_points"]
MEASURES = (
    Measure(
        name="intracranial_share_difference",
        label="Difference of shares of intracranial volume",
        unit="% points",
        lowest=0.0,
        highest=100.0,
        better="lower",
        definition=(
            "|V_a/ICV_a - V_b/ICV_b| x 100 of a tissue's volumes V, ICV being CSF + GM + WM: within the brain mask, so "
            "without what CSF it leaves out. Of arms of images ICV is the mask's volume; where a person's scanners "
            "share one mask, this is the difference in mL over one number, and adds nothing but the unit. V by "
            "partial-volume sum, or by hard label where the engine estimates none."
        ),
        table=TABLE,
        column="difference_points",
        by_tissue=True,
    ),
)


def shares(volumes: pd.DataFrame, column: str) -> pd.DataFrame:
    """Volumes in % of the sum over tissues of the scan: method, subject, scanner, tissue and `share`.

    `volumes` has those and `column`, mL. NaN where the sum isn't above 0.
    """
    keys = ["method", "subject", "scanner"]
    whole = volumes.groupby(keys, sort=False)[column].transform("sum")
    return volumes[[*keys, "tissue"]].assign(share=100 * volumes[column] / whole.where(whole > 0, np.nan))


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Shares on two scanners, in %, and how far they are apart, a row a subject, pair and tissue; by the main rule."""
    volumes = measured.tables["volumes"]
    column = f"volume_ml{volume_rules.main_rule(volumes, 'volume_ml')}"
    found = side_by_side(shares(volumes, column), ["share"], measured.study.pairs)
    apart = (found["share_a"] - found["share_b"]).abs()
    return {TABLE: measured.in_order(found.assign(difference_points=apart)[COLUMNS])}
