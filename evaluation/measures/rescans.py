"""How far volumes of one person on one scanner differ from scan to rescan: the floor of every difference of volumes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd

from core.study import Study
from evaluation.measures.interface import Measured, rescan_table

TABLE = rescan_table("volume_differences")
RULES = ("", "_pve", "_hard")
"""Endings of the columns of volumes and of their differences: by the run's rule, partial volumes, hard label."""


def rescan_differences(volumes: pd.DataFrame, sessions: Sequence[str]) -> pd.DataFrame:
    """Differences of volumes (mL) between two sessions of a person on a scanner, a row a pair of sessions and tissue.

    `volumes` has method, subject, scanner, session, tissue and a column of volumes a rule.
    """
    keys = ["method", "subject", "scanner", "tissue"]
    values = [f"volume_ml{rule}" for rule in RULES]
    columns = [*keys[:3], "session_a", "session_b", "tissue"]
    columns += [f"{kind}_ml{rule}" for rule in RULES for kind in ("difference", "absolute_difference")]
    tables = []
    for session_a, session_b in itertools.combinations(sessions, 2):
        a, b = (volumes.loc[volumes["session"] == name, [*keys, *values]] for name in (session_a, session_b))
        both = a.merge(b, on=keys, suffixes=("_a", "_b"))
        found = both[keys].assign(session_a=session_a, session_b=session_b)
        for rule in RULES:
            difference = both[f"volume_ml{rule}_a"] - both[f"volume_ml{rule}_b"]
            found[f"difference_ml{rule}"] = difference
            found[f"absolute_difference_ml{rule}"] = difference.abs()
        tables.append(found)
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


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
