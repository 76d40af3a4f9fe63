"""How far volumes of one person on one scanner differ from scan to rescan: the floor of every difference of volumes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd

from core.study import Study
from evaluation.measures.interface import Measured, rescan_table
from evaluation.scan_pairs import side_by_side

TABLE = rescan_table("volume_differences")
RULES = ("", "_pve", "_hard")
"""Endings of the columns of volumes and of their differences: by the run's rule, partial volumes, hard label."""


def rescan_differences(volumes: pd.DataFrame, sessions: Sequence[str]) -> pd.DataFrame:
    """Differences of volumes (mL) between two sessions of a person on a scanner, a row a pair of sessions and tissue.

    `volumes` has method, subject, scanner, session, tissue and a column of volumes a rule.
    """
    values = [f"volume_ml{rule}" for rule in RULES]
    pairs = list(itertools.combinations(sessions, 2))
    found = side_by_side(
        volumes[["method", "subject", "scanner", "session", "tissue", *values]], values, pairs, of="session"
    )
    columns = ["method", "subject", "scanner", "session_a", "session_b", "tissue"]
    for rule in RULES:
        found[f"difference_ml{rule}"] = found[f"volume_ml{rule}_a"] - found[f"volume_ml{rule}_b"]
        found[f"absolute_difference_ml{rule}"] = found[f"difference_ml{rule}"].abs()
        columns += [f"difference_ml{rule}", f"absolute_difference_ml{rule}"]
    return found[columns]


def with_first_scans(volumes: pd.DataFrame, again: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The rescans' volumes `again`, and above them those of the same people's first scans on the same scanners."""
    if again.empty:
        return again
    first = volumes.merge(
        pd.DataFrame(
            [(scan.subject, scan.scanner, scan.session) for scan in study.scans],
            columns=["subject", "scanner", "session"],
        ),
        on=["subject", "scanner"],
    )
    first = first.merge(again[["method", "subject", "scanner"]].drop_duplicates(), on=["method", "subject", "scanner"])
    return pd.concat([first[again.columns], again], ignore_index=True)


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """The table of differences between sessions; without rows where nobody was rescanned."""
    volumes = with_first_scans(measured.tables["volumes"], measured.tables[rescan_table("volumes")], measured.study)
    return {TABLE: measured.in_order(rescan_differences(volumes, sorted(measured.sessions)))}
