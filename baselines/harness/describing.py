"""What a run's arms are, in one table: what later steps and readers know of a method without its code."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from baselines.harness.registry import method

COLUMNS = ["arm", "method", "label", "citation", "limits", "control"]


def describe(arms: Mapping[str, str]) -> pd.DataFrame:
    """A row an arm, in order: `arms` gives the method of each.

    `label` is what tables and figures call the arm: its method's, or its own id where that is another's.
    Raises `InputError` for an unknown method.
    """
    rows = []
    for arm, name in arms.items():
        chosen = method(name)
        rows.append(
            {
                "arm": arm,
                "method": name,
                "label": chosen.label if arm == name else arm,
                "citation": chosen.citation,
                "limits": chosen.limits,
                "control": "yes" if chosen.control else "no",
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)
