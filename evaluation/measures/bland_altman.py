"""Bias and limits of agreement of volumes from two scanners (Bland and Altman 1986)."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields

import numpy as np
import pandas as pd

from evaluation import intervals, volume_rules
from evaluation.measures.interface import Measure, Measured

TABLE = "bland_altman"
AFTER = ("volumes",)
MEASURES = (
    Measure(
        name="bias",
        label="Bias of volumes",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition="Mean over people of V_a - V_b; its size says how far two scanners differ on average.",
        reference="Bland and Altman 1986",
    ),
    Measure(
        name="limits_of_agreement",
        label="Limits of agreement of volumes",
        unit="mL",
        lowest=0.0,
        highest=math.inf,
        better="lower",
        definition=(
            "Bias -+ 1.96 standard deviations of V_a - V_b, between which 95 % of people are expected; the narrower "
            "the better."
        ),
        reference="Bland and Altman 1986",
    ),
)


@dataclass(frozen=True)
class Agreement:
    """Bias of two scanners with its 95 % interval, SD (ddof 1), and limits of agreement, in the volumes' unit."""

    n: int
    bias: float
    bias_low: float
    bias_high: float
    sd: float
    limit_low: float
    limit_high: float


def agreement(differences: np.ndarray) -> Agreement:
    """Bias and limits of differences (N,); the bias' interval is Student's. NaN for what n doesn't allow."""
    from scipy import stats  # takes half a second, which single people's measures needn't wait for

    found = differences[np.isfinite(differences)]
    n = len(found)
    bias = float(found.mean()) if n else math.nan
    sd = float(found.std(ddof=1)) if n > 1 else math.nan
    low, high = intervals.of_mean(found)
    reach = float(stats.norm.ppf(0.975)) * sd
    return Agreement(n, bias, float(low), float(high), sd, bias - reach, bias + reach)


def columns_of(ending: str) -> list[str]:
    """The columns of an `Agreement` but n, by a rule's ending."""
    return [f"{field.name}_ml{ending}" for field in fields(Agreement) if field.name != "n"]


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """A row a method, pair of scanners and tissue: by the main rule, which `rule` names, and by hard label."""
    differences = measured.tables["volume_differences"]
    main = volume_rules.main_rule(differences, "difference_ml")
    keys = ["method", "scanner_a", "scanner_b", "tissue"]
    rows = []
    for key, part in differences.groupby(keys, sort=False):
        row = {**dict(zip(keys, key, strict=True)), "rule": volume_rules.NAMES[main]}
        for rule, ending in ((main, ""), (volume_rules.HARD, volume_rules.HARD)):
            n, *found = astuple(agreement(part[f"difference_ml{rule}"].to_numpy(dtype=float)))
            row |= {"n": n, **dict(zip(columns_of(ending), found, strict=True))}
        rows.append(row)
    columns = [*keys, "rule", "n", *columns_of(""), *columns_of(volume_rules.HARD)]
    return {TABLE: pd.DataFrame(rows, columns=columns)}
