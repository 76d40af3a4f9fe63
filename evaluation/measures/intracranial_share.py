"""Volumes over the intracranial volume, as studies compare people, and how they differ between scanners.

The intracranial volume is CSF + GM + WM by the same rule. Of an arm of images that is the volume of the scan's brain
mask, which no arm changes: where a person's scanners share one mask, as where all were registered together, every
volume of the person is divided by one number, and an arm's difference is its difference in mL in another unit.
The share says more than mL in two cases: where masks differ between scanners, whose size it takes out, and for arms
of volumes, whose tissues needn't add up to the mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation import volume_rules
from evaluation.measures.interface import Measure, Measured, rescan_table
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
    """Volumes in % of the sum over tissues of the scan: the scan's columns, tissue and `share`.

    `volumes` has method, subject, scanner, session where it tells scans apart, tissue and `column`, mL. NaN where the
    sum isn't above 0.
    """
    keys = [key for key in ("method", "subject", "scanner", "session") if key in volumes]
    whole = volumes.groupby(keys, sort=False)[column].transform("sum")
    return volumes[[*keys, "tissue"]].assign(share=100 * volumes[column] / whole.where(whole > 0, np.nan))


def share_differences(volumes: pd.DataFrame, column: str, pairs: Sequence[tuple[str, str]], of: str) -> pd.DataFrame:
    """Shares on two scanners, or in two sessions (`of`), in %, and how far they are apart, a row a pair and tissue."""
    found = side_by_side(shares(volumes, column), ["share"], pairs, of=of)
    return found.assign(difference_points=(found["share_a"] - found["share_b"]).abs())


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Differences of shares by the main rule, and the same of rescans."""
    column = f"volume_ml{volume_rules.main_rule(measured.tables['volumes'], 'volume_ml')}"
    between = share_differences(measured.tables["volumes"], column, measured.study.pairs, "scanner")
    again = share_differences(measured.volumes_again, column, measured.study.session_pairs, "session")
    return {TABLE: measured.in_order(between[COLUMNS]), rescan_table(TABLE): measured.in_order(again)}
