"""How far volumes of one person on one scanner differ from scan to rescan: the floor of every difference of volumes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evaluation.measures.interface import Measured, rescan_table
from evaluation.scan_pairs import side_by_side

TABLE = rescan_table("volume_differences")
RULES = ("", "_pve", "_hard")
"""Endings of the columns of volumes and of their differences: by the run's rule, partial volumes, hard label."""


def rescan_differences(volumes: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Differences of volumes (mL) between two sessions of a person on a scanner, a row a pair of sessions and tissue.

    `volumes` has method, subject, scanner, session, tissue and a column of volumes a rule; `pairs` are of sessions.
    """
    values = [f"volume_ml{rule}" for rule in RULES]
    found = side_by_side(
        volumes[["method", "subject", "scanner", "session", "tissue", *values]], values, pairs, of="session"
    )
    columns = ["method", "subject", "scanner", "session_a", "session_b", "tissue"]
    for rule in RULES:
        found[f"difference_ml{rule}"] = found[f"volume_ml{rule}_a"] - found[f"volume_ml{rule}_b"]
        found[f"absolute_difference_ml{rule}"] = found[f"difference_ml{rule}"].abs()
        columns += [f"difference_ml{rule}", f"absolute_difference_ml{rule}"]
    return found[columns]


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """The table of differences between sessions; without rows where nobody was rescanned."""
    return {TABLE: measured.in_order(rescan_differences(measured.volumes_again, measured.study.session_pairs))}
