"""Differences of volumes in percent, which tissues and people of any size share."""

from __future__ import annotations

import pandas as pd

from evaluation import volume_rules
from evaluation.measures.interface import Measure, Measured
from evaluation.scan_pairs import percent_apart, side_by_side

TABLE = "volume_percent_differences"
COLUMNS = ("percent_difference", "percent_difference_hard")
MEASURES = (
    Measure(
        name="avdp",
        label="Absolute volume difference",
        unit="%",
        lowest=0.0,
        highest=200.0,
        better="lower",
        definition=(
            "AVDP: |V_a - V_b| of a tissue's volumes on scanners a and b in % of their mean, V the sum of partial "
            "volumes, or by hard label where the engine estimates none. Unlike the difference in mL it doesn't fall "
            "where an arm shrinks a tissue."
        ),
        table=TABLE,
        column="percent_difference",
        by_tissue=True,
    ),
)


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Differences in percent by the main rule, and beside them by hard label, a row a subject, pair and tissue."""
    volumes = measured.tables["volumes"]
    main = f"volume_ml{volume_rules.main_rule(volumes, 'volume_ml')}"
    rules = dict(zip(COLUMNS, (main, f"volume_ml{volume_rules.HARD}"), strict=True))
    keys = ["method", "subject", "scanner", "tissue"]
    by_rule = volumes[keys].assign(**{column: volumes[rule] for column, rule in rules.items()})
    found = side_by_side(by_rule, COLUMNS, measured.study.pairs)
    for column in COLUMNS:
        found[column] = percent_apart(found[f"{column}_a"].to_numpy(float), found[f"{column}_b"].to_numpy(float))
    return {TABLE: measured.in_order(found[["method", "subject", "scanner_a", "scanner_b", "tissue", *COLUMNS]])}
