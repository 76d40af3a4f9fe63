"""How tissue volumes differ between scanners region by region: what may cancel in a whole brain.

Regions are blocks of 50 mm of the study's grid (`evaluation.regions`), which need no atlas and no license. The same
count for every arm: those in which RAW has enough of the tissue.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.names import RAW
from evaluation import volume_rules
from evaluation.measures.interface import Measure, Measured
from evaluation.regions import LEAST_ML, large_enough, of_scans
from evaluation.scan_pairs import percent_apart, side_by_side

TABLE = "regional_differences"
KEYS = ["method", "subject", "scanner_a", "scanner_b", "tissue"]
COLUMNS = [*KEYS, "regions", "regional_difference_ml", "regional_difference_percent"]

MEASURES = tuple(
    Measure(
        name=f"regional_difference_{name}",
        label="Regional difference of volumes",
        unit=unit,
        lowest=0.0,
        highest=highest,
        better="lower",
        definition=(
            f"Mean over regions of {what} of a tissue's volumes on scanners a and b, V the sum of partial volumes, or "
            "by hard label where the engine estimates none. Regions are blocks of 50 mm of the study's grid in which "
            f"RAW has {LEAST_ML:g} mL of the tissue or more, mean of all scans. Unlike of a whole brain, too much here "
            "and too little there don't cancel. Arms of volumes have it where they harmonize regions."
        ),
        table=TABLE,
        column=f"regional_difference_{name}",
        by_tissue=True,
    )
    for name, unit, highest, what in (
        ("ml", "mL", np.inf, "|V_a - V_b|"),
        ("percent", "%", 200.0, "|V_a - V_b| in % of their mean"),
    )
)


def regional_differences(regions: pd.DataFrame, column: str, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Mean differences over regions, a row a method, subject, pair and tissue: `COLUMNS`.

    `regions` has method, subject, scanner, region, tissue and `column`, mL. `regions` of the result says of how many;
    a region where two scans have no mean above 0 has no percent, and doesn't count in theirs.
    """
    found = side_by_side(regions[["method", "subject", "scanner", "region", "tissue", column]], [column], pairs)
    a, b = (found[f"{column}_{end}"].to_numpy(float) for end in ("a", "b"))
    found = found.assign(regional_difference_ml=np.abs(a - b), regional_difference_percent=percent_apart(a, b))
    groups = found.groupby(KEYS, sort=False)
    means = groups[["regional_difference_ml", "regional_difference_percent"]].mean()
    return means.assign(regions=groups.size()).reset_index()[COLUMNS]


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Mean differences over regions, of the arms that have volumes by region; none where RAW isn't there.

    An arm at a time, since regions are many.
    """
    column = f"volume_ml{volume_rules.main_rule(measured.tables['volumes'], 'volume_ml')}"
    tables = []
    chosen = large_enough(of_scans(measured.regions(RAW)), column)
    for arm in measured.arms:
        regions = of_scans(measured.regions(arm))
        if len(chosen) and len(regions):
            tables.append(
                regional_differences(regions.merge(chosen, on=["tissue", "region"]), column, measured.study.pairs)
            )
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return {TABLE: measured.in_order(found)}
