"""Differences of volumes in percent, which tissues and people of any size share."""

from __future__ import annotations

import pandas as pd

from evaluation import volume_rules
from evaluation.measures.interface import Measure, Measured
from evaluation.scan_pairs import percent_apart, side_by_side

TABLE = "volume_percent_differences"
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
            "volumes, or by hard label where the engine estimates none. As the difference in mL, but of an arm that "
            "shrinks a tissue no less."
        ),
        table=TABLE,
        column="percent_difference_pve",
        by_tissue=True,
    ),
)


def volume_percents(volumes: pd.DataFrame, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """AVDP between scanners, a row a subject, pair and tissue: `percent_difference` by each rule that `volumes` has.

    `volumes` has method, subject, scanner, tissue and `volume_ml` by rule (`volume_rules.ENDINGS`). A subject without
    one of a pair's scans has no row for it.
    """
    endings = [ending for ending in volume_rules.ENDINGS if f"volume_ml{ending}" in volumes]
    values = [f"volume_ml{ending}" for ending in endings]
    found = side_by_side(volumes[["method", "subject", "scanner", "tissue", *values]], values, pairs)
    columns = [f"percent_difference{ending}" for ending in endings]
    for column, value in zip(columns, values, strict=True):
        found[column] = percent_apart(found[f"{value}_a"].to_numpy(float), found[f"{value}_b"].to_numpy(float))
    return found[["method", "subject", "scanner_a", "scanner_b", "tissue", *columns]]


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Differences in percent, by each rule."""
    return {TABLE: measured.in_order(volume_percents(measured.tables["volumes"], measured.study.pairs))}
