"""Bias and limits of agreement of volumes from two scanners (Bland and Altman 1986)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

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
    half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n) if n > 1 else math.nan
    reach = float(stats.norm.ppf(0.975)) * sd
    return Agreement(n, bias, bias - half, bias + half, sd, bias - reach, bias + reach)


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """A row a method, pair of scanners and tissue."""
    keys = ["method", "scanner_a", "scanner_b", "tissue"]
    groups = measured.tables["volume_differences"].groupby(keys, sort=False)["difference_ml"]
    rows = [
        {
            **dict(zip(keys, key, strict=True)),
            **{
                name if name == "n" else f"{name}_ml": value
                for name, value in asdict(agreement(values.to_numpy(dtype=float))).items()
            },
        }
        for key, values in groups
    ]
    columns = [*keys, "n", "bias_ml", "bias_low_ml", "bias_high_ml", "sd_ml", "limit_low_ml", "limit_high_ml"]
    return {TABLE: pd.DataFrame(rows, columns=columns)}
