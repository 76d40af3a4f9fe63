"""Whether an arm harmonizes, and how sure that is: its gain beyond its controls, and what of the person it keeps.

Three questions, each with an answer of its own:

- removed: are scans of different scanners nearer to each other than RAW's, than those of the same method fitted on
  permuted scanner labels, and than RAW's blurred until they are as smooth? A gain counts only where its interval
  lies beyond a tenth of what there is to gain, beyond all three (an intersection-union test, so that no correction
  for three comparisons is due: Berger 1982), and where the arm isn't more alike between scanners than two scans of
  one scanner are: that is smoothing, invention or a look at the person's other scans.
- kept: is of the person what RAW has?
- nearer: are images or volumes nearer the truth, where it is known?

Everything is about ONE primary endpoint that the configuration names; the other measures are exploratory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError, nearest
from core.names import MISSING, RAW, TISSUES, Gives, Role
from evaluation import intervals
from evaluation.measures import registry
from evaluation.measures.interface import Measure, rescan_table
from evaluation.runs.arms_table import Arm, read_arms
from evaluation.runs.metrics import read_metric

BEYOND, WORSE, UNCLEAR, UNKNOWN = "beyond", "worse", "no clear difference", "not known"
LITTLE_BETTER, LITTLE_WORSE = "better by little", "worse by little"
"""The interval leaves out 0, but not what counts."""

ONE_FIT = "beyond in one fit"
"""Beyond, by the one fit of a method whose training is random: of MISPEL's gain on real brains nine tenths of the
uncertainty were the seed's (docs/results/real-seeds)."""

SMOOTHER = "smoother than a rescan"
NOT_COMPARED = "not compared"
KEPT, LOST = "kept", "lost"
HARMONIZES, NOT_SHOWN = "yes", "not shown"
KEPT_SHARE = 0.9
"""Of RAW's variance between people, that an arm must keep to count as keeping the person."""

SMALLEST_SHARE = 0.1
"""Of what there is to gain, from RAW to its rescans (or to the best value), that a gain must surely exceed to count.

Together with `KEPT_SHARE` it refuses a cheat: mixing in so little of everyone's mean that the person counts as kept
takes away less than that of the differences. And no blur is beyond its match by a difference of widths."""

TRUTH = "truth"
"""The table that has rows where the truth is known."""

KEPT_MEASURE = "between_person_variance"
VOLUME_DIFFERENCES = "volume_differences"
"""The table of pairs that is made of all volumes, not pair by pair of images."""

STAND_INS = {"volume_difference_pve": "volume_difference_hard"}
"""What is taken for a primary endpoint that a run's segmenter can't give."""

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
VERDICT_COLUMNS = [
    "method",
    "removed",
    "removed_share",
    "removed_share_low",
    "removed_share_high",
    "kept",
    "kept_share",
    "kept_share_low",
    "kept_share_high",
    "kept_volume_share",
    "nearer",
    "harmonizes",
    "why",
]


@dataclass(frozen=True)
class Endpoint:
    """A measure, of one tissue where it has tissues, averaged over pairs of scanners."""

    measure: Measure
    tissue: str = ""
    primary: bool = False

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.measure.label}, {self.tissue}" if self.tissue else self.measure.label

    @property
    def volume_column(self) -> str:
        """Of an endpoint about volumes the column that they stand in."""
        return self.measure.column.replace("absolute_difference_ml", "volume_ml")

    @property
    def sign(self) -> float:
        """What its values are taken times so that higher is better."""
        return 1.0 if self.measure.better == "higher" else -1.0


def endpoint_label(measure: str, tissue: Any) -> str:
    """What a person calls an endpoint, from the cells of a table, where a measure without tissues has none."""
    return Endpoint(registry.find(measure), "" if pd.isna(tissue) else str(tissue)).label


@dataclass(frozen=True)
class Gain:
    """The mean gain over people and seeds with its 95 % interval; `seed_share` is the seeds' part of its variance."""

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
    seeds = sum(part for part, _ in parts[1:]) / variance
    return Gain(mean, mean - half, mean + half, seeds, math.sqrt(variance))


def means_by_person(table: pd.DataFrame, endpoint: Endpoint) -> pd.DataFrame:
    """An endpoint's mean over pairs (and, without a tissue, over tissues) by subject (rows) and arm (columns)."""
    if endpoint.tissue:
        table = table[table["tissue"] == endpoint.tissue]
    return table.pivot_table(
        index="subject", columns="method", values=endpoint.measure.column, aggfunc="mean", sort=False, observed=True
    )


def candidates() -> dict[str, Measure]:
    """The measures that can be an endpoint: of pairs of scanners, about what differs between them."""
    tables = {module.TABLE for module in registry.paired()} | {VOLUME_DIFFERENCES}
    return {
        measure.name: measure
        for measure in registry.measures().values()
        if measure.table in tables and (measure.tested or (measure.summary and measure.summary.asks == "removed"))
    }


def check_primary(measure: str, tissue: str) -> None:
    """Raise `InputError` for a primary endpoint that is no measure of differences between scanners.

    A measure by tissue needs a tissue, another one has none ("").
    """
    if measure not in candidates():
        raise InputError(
            f"evaluation.primary.measure: '{measure}' is no measure of pairs of scanners"
            f"{nearest(measure, candidates())}; there are {', '.join(candidates())}"
        )
    if candidates()[measure].by_tissue != bool(tissue):
        wanted = f"one of {', '.join(TISSUES)}" if candidates()[measure].by_tissue else "null"
        raise InputError(f"evaluation.primary.tissue: '{tissue or 'null'}' for {measure}; give {wanted}")


def endpoints(tables: Mapping[str, pd.DataFrame], primary: str, tissue: str) -> list[Endpoint]:
    """The primary endpoint, then every other measure of differences between scanners, tissue by tissue.

    `tables` are the run's, by name. Where the segmenter estimates no partial volumes, the hard label stands in for
    their sum. Raises `InputError` where the primary one isn't among them.
    """
    check_primary(primary, tissue)
    primary = primary if _has_numbers(tables, primary) else STAND_INS.get(primary, primary)
    found = []
    for measure in candidates().values():
        if _has_numbers(tables, measure.name):
            table = tables[measure.table]
            names = [name for name in TISSUES if (table["tissue"] == name).any()] if "tissue" in table else [""]
            found += [Endpoint(measure, name, measure.name == primary and name == tissue) for name in names]
    if not any(endpoint.primary for endpoint in found):
        there = [endpoint.tissue or "null" for endpoint in found if endpoint.measure.name == primary]
        raise InputError(
            f"evaluation.primary.tissue: '{tissue or 'null'}' for {primary}; give one of {', '.join(there) or 'none'}"
        )
    return sorted(found, key=lambda endpoint: not endpoint.primary)


def _has_numbers(tables: Mapping[str, pd.DataFrame], name: str) -> bool:
    measure = candidates()[name]
    return measure.has_numbers_in(tables.get(measure.table))


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


def rescan_floor(rescans: pd.DataFrame | None, endpoint: Endpoint) -> float:
    """RAW's mean between scans and rescans, of the same table between them; NaN without any."""
    if rescans is None or rescans.empty:
        return math.nan
    return float(means_by_person(rescans, endpoint).get(RAW, pd.Series(dtype=float)).mean())


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


OVER = {"raw": "RAW", "permuted": "its fit on permuted labels", "blur": "the blur as smooth as it is"}
"""What an arm is compared with, as a person reads it."""


def removed_answer(found: pd.DataFrame, better: str, due: Sequence[str] = (), lacking: str = "") -> tuple[str, str]:
    """What an arm's gains in the primary endpoint (rows of `GAIN_COLUMNS`) come to, and why.

    Without a control that is `due`, or with fits that are `lacking` (in words), nothing is known.
    """
    answers = dict(zip(found["control"], found["answer"], strict=True))
    missing = [OVER[control] for control in due if control not in answers]
    if (missing or lacking) and answers.get("raw") == WORSE:
        # no control makes up for that
        return WORSE, f"worse than {OVER['raw']}"
    if missing or lacking:
        return UNKNOWN, "; ".join([*(f"there are no numbers of {name}" for name in missing), *filter(None, [lacking])])
    worse = [OVER[control] for control, answer in answers.items() if answer == WORSE]
    words = {
        UNCLEAR: "no clear difference from {}",
        LITTLE_BETTER: "better than {}, but not surely by what counts",
        LITTLE_WORSE: "worse than {}, but not surely by what counts",
    }
    unclear = [words[answer].format(OVER[control]) for control, answer in answers.items() if answer in words]
    value, rescan = found["value"].iloc[0], found["rescan"].iloc[0]
    if UNKNOWN in answers.values():
        return UNKNOWN, f"the primary endpoint has numbers of {found['n'].min()} people, and two are needed"
    if worse:
        return WORSE, f"worse than {' and '.join(worse)}"
    if unclear:
        return UNCLEAR, "; ".join(unclear)
    if math.isfinite(rescan) and (value > rescan if better == "higher" else value < rescan):
        return SMOOTHER, "more alike between scanners than two scans of one scanner are"
    return BEYOND, f"better than {' and '.join(OVER[control] for control in answers)}"


def removed_by_arm(arm: Arm, part: pd.DataFrame, better: str, described: Mapping[str, Arm]) -> tuple[str, str]:
    """`removed_answer` of an arm's gains in the primary endpoint, and why; `NOT_COMPARED` of one that doesn't compete.

    `described` are all arms of the run, which say which controls and seeds are due.
    """
    if not arm.competes:
        return NOT_COMPARED, "a person's other scans are used" if arm.role == "arm" else "a control"
    removed, why = removed_answer(part, better, arm.due, lacking_seeds(part, described))
    if removed == BEYOND and has_one_fit(arm, part):
        return ONE_FIT, f"{why}, by one fit: what another seed gives isn't known"
    return removed, why


def has_one_fit(arm: Arm, part: pd.DataFrame) -> bool:
    """Whether an arm's gains (rows of `GAIN_COLUMNS`) are by one fit of several that a random training could give."""
    return arm.random_fit and bool(part["seeds"].max() < 2)


def removed_shares(over_raw: Mapping[Any, Any], sign: float) -> dict[str, float]:
    """The share of what there is to gain, from RAW to its rescans, of a gain over RAW (a row of `GAIN_COLUMNS`).

    With its interval; NaN without rescans, or where they are no more alike than RAW's scanners. `sign` is the
    endpoint's.
    """
    span = sign * (over_raw["rescan"] - over_raw["control_value"])
    ends = ("", "_low", "_high")
    return {f"removed_share{end}": over_raw[f"gain{end}"] / span if span > 0 else math.nan for end in ends}


def why_of(removed: str, why: str, kept: str) -> str:
    """Why an arm harmonizes or doesn't, from why it removes what it does and whether the person is kept."""
    if removed != BEYOND or kept == KEPT:
        return why
    return (
        why
        + {
            LOST: ", but the person is lost",
            UNCLEAR: ", but it isn't clear that the person is kept",
            UNKNOWN: ", but it isn't known whether the person is kept",
        }[kept]
    )


def kept_answer(low: float, high: float) -> str:
    """Whether the person is kept, from the interval of the share of RAW's variance between people."""
    if not math.isfinite(low):
        return UNKNOWN
    return KEPT if low >= KEPT_SHARE else LOST if high < KEPT_SHARE else UNCLEAR


def share_interval(
    statistic: Callable[[np.ndarray], np.ndarray], arm: np.ndarray, raw: np.ndarray
) -> tuple[float, float, float]:
    """The statistic of an arm's people over that of RAW's, with its interval (`intervals.of_positive`).

    Both are (people, ...), the same people in the same order; NaN where a part isn't positive, or of fewer than two.
    """
    if len(arm) < 2:
        return math.nan, math.nan, math.nan
    both = np.stack([arm, raw], axis=-1)

    def ratio(values: np.ndarray) -> np.ndarray:
        return statistic(values[..., 0]) / statistic(values[..., 1])

    low, high = intervals.of_positive(ratio, both, axis=-both.ndim)
    return float(ratio(both)), float(low), float(high)


def run_verdicts(run: Path, *, primary: str, tissue: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The gains of a run's arms in every endpoint (`GAIN_COLUMNS`), and a verdict an arm (`VERDICT_COLUMNS`).

    Raises `InputError` for a primary endpoint that the run doesn't measure.
    """
    described = read_arms(run)
    tables = _tables_of(run)
    floors = {name: read_metric(run, rescan_table(name)) for name in tables}
    every = endpoints(tables, primary, tissue)
    found = [
        gains(tables[endpoint.measure.table], floors[endpoint.measure.table], endpoint, described) for endpoint in every
    ]
    rows = []
    for arm in described.values():
        part = found[0][found[0]["method"] == arm.id]
        if not part.empty:
            rows.append(_verdict(arm, part, every[0], tables, described))
        elif arm.competes and arm.id != RAW:
            row: dict[str, object] = dict.fromkeys(VERDICT_COLUMNS, math.nan)
            row |= {"method": arm.id, "removed": UNKNOWN, "kept": UNKNOWN}
            of_images = arm.gives == "volumes" and every[0].measure.table != VOLUME_DIFFERENCES
            why = "it gives volumes, and the primary endpoint is of images" if of_images else "it gave no numbers"
            rows.append(row | {"nearer": UNKNOWN, "harmonizes": NOT_SHOWN, "why": why})
    return pd.concat(found, ignore_index=True), pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def _verdict(
    arm: Arm, part: pd.DataFrame, primary: Endpoint, tables: Mapping[str, pd.DataFrame], described: Mapping[str, Arm]
) -> dict[str, object]:
    removed, why = removed_by_arm(arm, part, primary.measure.better, described)
    over_raw = part[part["control"] == "raw"].iloc[0]
    fits = with_seeds(arm.id, described)
    person = kept_of(tables, fits, primary, arm.gives)
    kept = person.answer
    return {
        "method": arm.id,
        "removed": removed,
        **removed_shares(over_raw.to_dict(), primary.sign),
        "kept": kept,
        "kept_share": person.share,
        "kept_share_low": person.low,
        "kept_share_high": person.high,
        "kept_volume_share": person.volumes,
        "nearer": nearer_answer(tables, fits),
        "harmonizes": MISSING if not arm.competes else harmonizes(removed, kept),
        "why": why_of(removed, why, kept),
    }


@dataclass(frozen=True)
class Kept:
    """The share of RAW's variance between people that an arm keeps, with its interval, and that of their volumes."""

    share: float
    low: float
    high: float
    volumes: float

    @property
    def answer(self) -> str:
        """Whether the person is kept, in words."""
        # without an interval nothing is told, but that of an arm that leaves no variance at all there is none
        kept = LOST if self.share <= 0 else kept_answer(self.low, self.high)
        return LOST if kept in (KEPT, UNCLEAR) and self.volumes < KEPT_SHARE else kept


def kept_of(tables: Mapping[str, pd.DataFrame], fits: Sequence[str], primary: Endpoint, gives: Gives) -> Kept:
    """What an arm keeps of the person, over its `fits`; of one without images its volumes are all there is to keep."""
    volumes, *ends = volume_share(tables, fits, primary)
    share, low, high = (volumes, *ends) if gives == "volumes" else kept_share(tables, fits)
    return Kept(share, low, high, volumes)


def harmonizes(removed: str, kept: str) -> str:
    """The verdict on an arm that competes: yes where it removes beyond its controls and keeps the person."""
    return HARMONIZES if removed == BEYOND and kept == KEPT else NOT_SHOWN


def lacking_seeds(part: pd.DataFrame, described: Mapping[str, Arm]) -> str:
    """Which planned fits under further seeds gave no numbers, of the arm and of its controls; empty where all did."""
    told = []
    for row in part.to_dict("records"):
        for arm, seeds in ((row["method"], row["seeds"]), (row["control_arm"], row["control_seeds"])):
            planned = len(with_seeds(arm, described))
            if seeds < planned:
                told.append(f"{planned - seeds} of {planned} fits of {described[arm].label} gave no numbers")
    return "; ".join(dict.fromkeys(told))


def kept_share(tables: Mapping[str, pd.DataFrame], fits: Sequence[str]) -> tuple[float, float, float]:
    """The share that an arm keeps of RAW's variance between people, with its interval; NaN where it isn't measured.

    `fits` are the arm and its fits under further seeds: the share is their mean, and the interval from the lowest
    lower to the highest upper end, so that every fit has to keep the person.
    """
    measure = registry.find(KEPT_MEASURE)
    if measure.table not in tables:
        return math.nan, math.nan, math.nan
    values = means_by_person(tables[measure.table], Endpoint(measure))
    there = [fit for fit in fits if fit in values]
    if not there or RAW not in values:
        return math.nan, math.nan, math.nan
    shares = []
    for fit in there:
        known = values[[fit, RAW]].dropna().to_numpy(float)
        shares.append(share_interval(lambda people: people.mean(axis=-1), known[:, 0], known[:, 1]))
    value, low, high = zip(*shares, strict=True)
    return float(np.mean(value)), float(np.min(low)), float(np.max(high))


def volume_share(
    tables: Mapping[str, pd.DataFrame], fits: Sequence[str], primary: Endpoint
) -> tuple[float, float, float]:
    """Of RAW's covariance over people of volumes on two scanners the share that the arm's have, with its interval.

    Of the primary endpoint's volumes, where it is about volumes, since what shrinks all volumes to their mean
    shrinks their differences too; else, and where RAW's isn't positive, NaN. Over `fits` as in `kept_share`; the
    interval is of people with a volume on every scanner.
    """
    volumes = volumes_of_endpoint(tables, primary)
    if volumes is None:
        return math.nan, math.nan, math.nan
    column = primary.volume_column

    def by_person(arm: str) -> pd.DataFrame:
        return volumes[volumes["method"] == arm].pivot_table(index="subject", columns="scanner", values=column)

    def shared(wide: pd.DataFrame) -> float:
        covariances = wide.cov().to_numpy(float)
        known = covariances[np.triu_indices(len(covariances), 1)]
        known = known[np.isfinite(known)]
        return float(known.mean()) if len(known) else math.nan

    raw = by_person(RAW)
    there = [fit for fit in fits if (volumes["method"] == fit).any()]
    if not there or not shared(raw) > 0:
        return math.nan, math.nan, math.nan
    shares, ends = [], []
    for fit in there:
        own = by_person(fit)
        shares.append(shared(own) / shared(raw))
        known = own.join(raw, rsuffix=" of RAW").dropna().to_numpy(float)
        ends.append(share_interval(mean_covariance, known[:, : own.shape[1]], known[:, own.shape[1] :])[1:])
    low, high = zip(*ends, strict=True)
    return float(np.mean(shares)), float(np.min(low)), float(np.max(high))


def volumes_of_endpoint(tables: Mapping[str, pd.DataFrame], endpoint: Endpoint) -> pd.DataFrame | None:
    """The rows of the volumes that an endpoint is about; None where it isn't about volumes, or there are none."""
    volumes = tables.get("volumes")
    if endpoint.measure.table != VOLUME_DIFFERENCES or volumes is None or endpoint.volume_column not in volumes:
        return None
    return volumes[volumes["tissue"] == endpoint.tissue] if endpoint.tissue else volumes


def mean_covariance(values: np.ndarray) -> np.ndarray:
    """The mean covariance (...) over people of values (..., people, scanners) on two scanners, over all pairs."""
    centered = values - values.mean(axis=-2, keepdims=True)
    scanners, freedom = values.shape[-1], values.shape[-2] - 1
    # of all pairs the sum is that of the people's sums, less each scanner's own
    of_all = np.square(centered.sum(axis=-1)).sum(axis=-1)
    own = np.square(centered).sum(axis=(-2, -1))
    return (of_all - own) / (scanners * (scanners - 1) * freedom)


def nearer_answer(tables: Mapping[str, pd.DataFrame], fits: Sequence[str]) -> str:
    """Whether images and labels are nearer the truth than RAW's; `UNKNOWN` without a truth.

    Beyond, or worse, where every measure of it says so. Contrast-to-noise is a measure of it too, but on scans
    without a known truth it says nothing.
    """
    if TRUTH not in tables or tables[TRUTH].empty:
        return UNKNOWN
    answers: set[str] = set()
    for measure, summary in registry.summarized():
        if summary.asks == "nearer" and measure.table in tables and measure.column in tables[measure.table]:
            values = means_by_person(tables[measure.table], Endpoint(measure))
            there = [fit for fit in fits if fit in values]
            if there and RAW in values:
                known = Endpoint(measure).sign * values[[*there, RAW]].dropna().to_numpy(float)
                answers.add(gain_of(known[:, :-1].T, known[:, -1:].T).answer())
    better, worse = {BEYOND, LITTLE_BETTER}, {WORSE, LITTLE_WORSE}
    if not answers or UNKNOWN in answers:
        return UNKNOWN
    return BEYOND if answers <= better else WORSE if answers <= worse else UNCLEAR


def _tables_of(run: Path) -> dict[str, pd.DataFrame]:
    """The tables of a run that verdicts are made of, by name."""
    found = {}
    for name in {"volumes", *(measure.table for measure in registry.measures().values() if measure.table)}:
        table = read_metric(run, name)
        if table is not None:
            found[name] = table
    return found
