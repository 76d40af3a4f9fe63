"""What a run's arms are, in one table: what later steps and readers know of a method without its code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from baselines.harness.parameters import make_parameters
from baselines.harness.registry import method
from baselines.interface import Harmonizer, VolumeMethod

COLUMNS = [
    "arm",
    "method",
    "gives",
    "label",
    "variant",
    "citation",
    "limits",
    "role",
    "of",
    "uses_other_scans",
    "learns_scanners",
    "random_fit",
    "maps_intensities",
    "parameters",
    "license",
    "year",
    "trained_on",
    "needs",
    "unseen_subjects",
    "unseen_scanners",
]
ROLE_LABELS = {"permuted": "{}, permuted labels", "blur": "Blur as smooth as {}", "seed": "{}, seed {}"}


def describe(arms: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row an arm, in order: `arms` gives the method, parameters, role and `of` of each (`core.names.Role`).

    `label` is what tables and figures call the arm: its method's, or its own id where that is another's; `variant`
    what sets it apart from the published method. Raises `InputError` for an unknown method or parameter.
    """
    rows: list[dict[str, str]] = []
    labels: dict[str, str] = {}
    for arm, planned in arms.items():
        made = _made(planned)
        chosen = type(made)
        own = arm == planned["method"]
        pattern = ROLE_LABELS.get(planned["role"], chosen.label if own else arm)
        label = pattern.format(labels.get(planned["of"], ""), arm.rpartition("seed")[2])
        variant = made.variant if own else ""
        labels[arm] = " ".join(filter(None, [label, variant]))
        rows.append(
            {
                "arm": arm,
                "method": planned["method"],
                "gives": chosen.gives,
                "label": label,
                "variant": variant,
                "citation": chosen.citation,
                "limits": chosen.limits,
                "role": planned["role"],
                "of": planned["of"],
                "uses_other_scans": _yes(made.uses_other_scans),
                "learns_scanners": _yes(made.learns_scanners and made.fits_on == "study"),
                "random_fit": _yes(_is_random(made, arms)),
                "maps_intensities": _yes(made.maps_intensities),
                "parameters": json.dumps(made.describe_parameters(), sort_keys=True, default=str),
                **chosen.card(),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _made(planned: Mapping[str, Any]) -> Harmonizer:
    chosen = method(planned["method"])
    return chosen(make_parameters(chosen, planned["parameters"]))


def _is_random(made: Harmonizer, arms: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether its fit depends on the seed, or that of the arm whose volumes it harmonizes."""
    if made.random_fit or not isinstance(made, VolumeMethod) or made.of not in arms:
        return made.random_fit
    return _is_random(_made(arms[made.of]), arms)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
