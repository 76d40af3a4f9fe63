"""Differences of volumes in percent, which tissues and people of any size share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from evaluation import volume_rules
from evaluation.measures.interface import Measure, Measured, rescan_table
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


def percent_differences(
    volumes: pd.DataFrame, rules: Mapping[str, str], pairs: Sequence[tuple[str, str]], of: str
) -> pd.DataFrame:
    """Differences in percent between scanners, or sessions (`of`), a row a pair and tissue.

    `rules` are the columns of `volumes`, mL, by the columns that they become.
    """
    keys = [key for key in ("method", "subject", "scanner", "session", "tissue") if key in volumes]
    by_rule = volumes[keys].assign(**{column: volumes[rule] for column, rule in rules.items()})
    found = side_by_side(by_rule, COLUMNS, pairs, of=of)
    for column in COLUMNS:
        found[column] = percent_apart(found[f"{column}_a"].to_numpy(float), found[f"{column}_b"].to_numpy(float))
    return found[[*(key for key in keys if key != of), f"{of}_a", f"{of}_b", *COLUMNS]]


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """Differences in percent by the main rule, and beside them by hard label, and the same of rescans."""
    volumes = measured.tables["volumes"]
    main = f"volume_ml{volume_rules.main_rule(volumes, 'volume_ml')}"
    rules = dict(zip(COLUMNS, (main, f"volume_ml{volume_rules.HARD}"), strict=True))
    return {
        TABLE: measured.in_order(percent_differences(volumes, rules, measured.study.pairs, "scanner")),
        rescan_table(TABLE): measured.in_order(
            percent_differences(measured.volumes_again, rules, measured.study.session_pairs, "session")
        ),
    }
