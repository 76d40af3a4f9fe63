"""How tissue volumes differ between scanners region by region: what may cancel in a whole brain.

Regions are blocks of 50 mm of the study's grid (`evaluation.regions`), which need no atlas and no license. The same
count for every arm: those in which RAW has enough of the tissue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.names import RAW
from evaluation import volume_rules
from evaluation.measures.interface import Measure, Measured, rescan_table
from evaluation.regions import LEAST_ML, large_enough, of_rescanned, of_scans
from evaluation.scan_pairs import percent_apart, side_by_side

TABLE = "regional_differences"
VALUES = ["regions", "regional_difference_ml", "regional_difference_percent"]
COLUMNS = ["method", "subject", "scanner_a", "scanner_b", "tissue", *VALUES]
RESCAN_COLUMNS = ["method", "subject", "scanner", "session_a", "session_b", "tissue", *VALUES]

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


def regional_differences(
    regions: pd.DataFrame, column: str, pairs: Sequence[tuple[str, str]], of: str = "scanner"
) -> pd.DataFrame:
    """Mean differences over regions between scanners, or sessions (`of`), a row a subject, pair and tissue.

    `regions` has method, subject, scanner, session, region, tissue and `column`, mL. `regions` of the result says of
    how many; a region where two scans have no mean above 0 has no percent, and doesn't count in theirs.
    """
    keys = ["method", "subject", *(["scanner"] if of == "session" else []), "tissue"]
    found = side_by_side(regions[[*keys, of, "region", column]], [column], pairs, of=of)
    a, b = (found[f"{column}_{end}"].to_numpy(float) for end in ("a", "b"))
    found = found.assign(regional_difference_ml=np.abs(a - b), regional_difference_percent=percent_apart(a, b))
    groups = found.groupby([*keys, f"{of}_a", f"{of}_b"], sort=False)
    means = groups[["regional_difference_ml", "regional_difference_percent"]].mean()
    return means.assign(regions=groups.size()).reset_index()


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Mean differences over regions, of the arms that have volumes by region, and the same of rescans.

    None where RAW isn't there. An arm at a time, since regions are many.
    """
    column = f"volume_ml{volume_rules.main_rule(measured.tables['volumes'], 'volume_ml')}"
    between, again = [], []
    chosen = large_enough(of_scans(measured.regions(RAW)), column)
    for arm in measured.arms:
        regions = measured.regions(arm)
        if len(chosen) and len(regions):
            regions = regions.merge(chosen, on=["tissue", "region"])
            between.append(regional_differences(of_scans(regions), column, measured.study.pairs))
            again.append(
                regional_differences(of_rescanned(regions), column, measured.study.session_pairs, of="session")
            )
    found = {}
    for table, columns, parts in ((TABLE, COLUMNS, between), (rescan_table(TABLE), RESCAN_COLUMNS, again)):
        joined = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
        found[table] = measured.in_order(joined[columns])
    return found
