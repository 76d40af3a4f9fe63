"""What an arm gains beyond RAW and its controls in an endpoint, over people and seeds, and what of a gain counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.names import MISSING, RAW, Role
from evaluation import intervals
from evaluation.measures.interface import Measure
from evaluation.runs.arms_table import Arm
from evaluation.verdicts.answers import (
    BEYOND,
    KEPT_SHARE,
    LITTLE_BETTER,
    LITTLE_WORSE,
    SMALLEST_SHARE,
    UNCLEAR,
    UNKNOWN,
    WORSE,
)
from evaluation.verdicts.endpoints import Endpoint, means_by_person, rescan_floor

COMPARED: tuple[Role, ...] = ("permuted", "blur")
"""The controls that an arm is compared with beside RAW."""

GAIN_COLUMNS = [
    "endpoint",
    "measure",
    "tissue",
    "method",
    "control",
    "control_arm",
    "n",
    "seeds",
    "control_seeds",
    "value",
    "control_value",
    "rescan",
    "gain",
    "gain_low",
    "gain_high",
    "seed_share",
    "margin",
    "answer",
]


@dataclass(frozen=True)
class Gain:
    """The mean gain over people and seeds with its 95 % interval.

    `seed_share` is the seeds' part of its variance; NaN where neither side has several seeds, or nothing varies.
    """

    gain: float
    low: float
    high: float
    seed_share: float
    error: float = math.nan
    """The standard error of the gain; 0 where nothing spreads, NaN where that isn't known."""

    def answer(self, margin: float = 0.0) -> str:
        """In words: the interval lies above the margin, below minus the margin, or neither."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return UNKNOWN
        if self.low > margin or self.high < -margin:
            return BEYOND if self.low > margin else WORSE
        return LITTLE_BETTER if self.low > 0 else LITTLE_WORSE if self.high < 0 else UNCLEAR


def gain_of(arm: np.ndarray, control: np.ndarray) -> Gain:
    """The gain of an arm (seeds, people) over a control (seeds, people), the higher the better; no gaps.

    People and seeds are both drawn: the standard error adds the variance over people of the mean over seeds, over
    their number, and for each side with several seeds the variance over seeds of the mean over people, over theirs.
    Student's t has the degrees of freedom of Satterthwaite (1946). With one seed its share isn't known, and the
    interval is that of people alone.
    """
    people = arm.shape[1]
    differences = arm.mean(axis=0) - control.mean(axis=0)
    parts = [(float(differences.var(ddof=1)) / people, people - 1)] if people > 1 else []
    for side in (arm, control):
        if len(side) > 1:
            parts.append((float(side.mean(axis=1).var(ddof=1)) / len(side), len(side) - 1))
    variance = sum(part for part, _ in parts)
    mean = float(differences.mean()) if people else math.nan
    if people < 2 or not variance > 0:
        # no spread at all is an arm that is its control, or a constant
        low = high = mean if people > 1 else math.nan
        return Gain(mean, low, high, math.nan, 0.0 if people > 1 else math.nan)
    freedom = variance**2 / sum(part**2 / free for part, free in parts if part > 0)
    half = intervals.student(freedom) * math.sqrt(variance)
    seeds = sum(part for part, _ in parts[1:]) / variance if len(parts) > 1 else math.nan
    return Gain(mean, mean - half, mean + half, seeds, math.sqrt(variance))


def gains(
    table: pd.DataFrame, rescans: pd.DataFrame | None, endpoint: Endpoint, described: Mapping[str, Arm]
) -> pd.DataFrame:
    """An endpoint's gains of every arm over RAW, and of those that compete over each control: `GAIN_COLUMNS`.

    `rescans` is the same table between scans and rescans; the mean of RAW's is given as `rescan`.
    """
    values = means_by_person(table, endpoint)
    sign, floor = endpoint.sign, rescan_floor(rescans, endpoint)
    margin = smallest_gain(endpoint.measure, float(values[RAW].mean()), floor) if RAW in values else math.nan
    rows = []
    for arm in described.values():
        if arm.role == "seed" or arm.id == RAW or arm.id not in values:
            continue
        controls = _controls_of(arm.id, described) if arm.competes else []
        for control, name in [("raw", RAW), *controls]:
            if name not in values:
                continue
            fits, other = ([fit for fit in with_seeds(which, described) if fit in values] for which in (arm.id, name))
            known = values[[*fits, *other]].dropna()
            matrix, reference = (sign * known[list(names)].to_numpy(float).T for names in (fits, other))
            found = gain_of(matrix, reference)
            rows.append(
                {
                    "endpoint": "primary" if endpoint.primary else "exploratory",
                    "measure": endpoint.measure.name,
                    "tissue": endpoint.tissue or MISSING,
                    "method": arm.id,
                    "control": control,
                    "control_arm": name,
                    "n": len(known),
                    "seeds": len(fits),
                    "control_seeds": len(other),
                    # + 0.0, so that nothing is -0
                    "value": sign * matrix.mean() + 0.0 if len(known) else math.nan,
                    "control_value": sign * reference.mean() + 0.0 if len(known) else math.nan,
                    "rescan": floor,
                    "gain": found.gain,
                    "gain_low": found.low,
                    "gain_high": found.high,
                    "seed_share": found.seed_share,
                    "margin": margin,
                    "answer": found.answer(margin),
                }
            )
    return pd.DataFrame(rows, columns=GAIN_COLUMNS)


def smallest_gain(measure: Measure, raw: float, rescan: float) -> float:
    """The gain that counts: `SMALLEST_SHARE` of the way from RAW's value to its rescans' or, without, to the best.

    At least what mixing in as much of everyone's mean would gain as leaves `KEPT_SHARE` of the variance between
    people: a mix of m leaves (1 - m)^2 of it and 1 - m of the differences.
    """
    best = measure.best if math.isfinite(measure.best) else raw
    cheat = (1 - math.sqrt(KEPT_SHARE)) * abs(best - raw)
    return max(SMALLEST_SHARE * abs((rescan if math.isfinite(rescan) else best) - raw), cheat)


def _controls_of(arm: str, described: Mapping[str, Arm]) -> list[tuple[str, str]]:
    return [(found.role, found.id) for found in described.values() if found.of == arm and found.role in COMPARED]


def with_seeds(arm: str, described: Mapping[str, Arm]) -> list[str]:
    """The arm and its fits under other seeds, as planned."""
    return [arm, *(found.id for found in described.values() if found.of == arm and found.role == "seed")]
