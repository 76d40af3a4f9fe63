"""What the volumes are for: telling patients from controls, on another scanner than the one that was learned from.

A person is never in what is judged on them: for every scanner a classifier learns from everybody else's scans on it,
and gives the person's scans on every scanner a decision value. A classifier that is good on its own scanner and worse
on another has learned something of the scanner; its values of one person's scans then disagree. In the confounded
design patients are learned from one scanner and controls from another, and the test is the reverse: who has learned
scanners falls below chance (MAREoS, Solanes et al., NeuroImage 2023, asks this of tables).

Features are few and the penalty is fixed, since studies of traveling people are small: volumes of the three tissues,
and those of gray matter by region. Where the anatomy is known, the arm `truth` is the ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.names import RAW, TISSUES
from core.random_numbers import generator
from evaluation import volume_rules
from evaluation.measures.biology import TRUTH, contrasts
from evaluation.measures.interface import Measure, Measured
from evaluation.measures.reliability import icc
from evaluation.regions import large_enough, of_scans

TABLE = "detection"
COVARIATE = "diagnosis"
TISSUE_VOLUMES, REGIONS = "tissues", "regions"
FEWEST_IN_A_GROUP = 3
PENALTY = 1.0
"""Of the squared weights of standardized features (scikit-learn's C): fixed, since to choose it takes people."""

SOLVER = "newton-cholesky"
"""Exact, and the fastest where features are few."""

SPREAD = (2.5, 97.5)
NUMBERS = ("auc_same", "auc_other", "drop", "auc_confounded")
COLUMNS = [
    "method",
    "features",
    "contrast",
    "n",
    "cases",
    *(f"{name}{end}" for name in NUMBERS for end in ("", "_low", "_high")),
    "decision_icc",
]
MEASURES = (
    Measure(
        name="auc_other",
        label="Detection on another scanner (AUC)",
        lowest=0.0,
        highest=1.0,
        better="higher",
        definition=(
            "Area under the curve of a logistic regression on volumes that tells the two groups of diagnosis apart, "
            "learned on one scanner from everybody else and applied to a person's scan on another, the mean over all "
            "ordered pairs of scanners; same: on the scanner that was learned from; drop: the difference. By leaving "
            "one person out; the people's values come from different fits, which makes it fall below 0.5 where there "
            "is nothing to find."
        ),
        reference="Hanley and McNeil 1982",
    ),
    Measure(
        name="auc_confounded",
        label="Detection, confounded (AUC)",
        lowest=0.0,
        highest=1.0,
        better="higher",
        definition=(
            "The same where cases are learned from one scanner and the others from another, and the test is the "
            "reverse, the mean over ordered pairs: below 0.5 where the scanner was learned."
        ),
        reference="Solanes et al. 2023",
    ),
    Measure(
        name="decision_icc",
        label="Agreement of decision values, ICC(A,1)",
        lowest=-math.inf,
        highest=1.0,
        better="higher",
        definition="ICC(A,1) of one person's decision values over scanners, the mean over scanners learned from.",
        reference="McGraw and Wong 1996",
    ),
)


@dataclass(frozen=True)
class Decisions:
    """Decision values of N people on M scanners by fits without the person.

    plain (M, M, N): learned from scanner a, applied to b. confounded (M, M, N): cases learned from a and the others
    from b, applied to a case on b and to another on a; NaN where a is b.
    """

    plain: np.ndarray
    confounded: np.ndarray


def decide(features: np.ndarray, cases: np.ndarray) -> Decisions:
    """Decision values by features (N people, M scanners, F) and who is a case (N,), bool.

    Of a logistic regression with a fixed penalty (`PENALTY`) on features that are standardized by those who are learned
    from. The person is in none of the fits that are applied to them, on no scanner: the shape of the loop is the
    guard against that leak.
    """
    people, scanners, _ = features.shape
    plain = np.full((scanners, scanners, people), math.nan)
    confounded = plain.copy()
    for person in range(people):
        others = np.arange(people) != person
        for a in range(scanners):
            plain[a, :, person] = _fitted(features[others, a], cases[others])(features[person])
            for b in range(scanners):
                if a != b:
                    learned = np.where(cases[others, None], features[others, a], features[others, b])
                    reverse = features[person, b if cases[person] else a]
                    confounded[a, b, person] = _fitted(learned, cases[others])(reverse[None])[0]
    return Decisions(plain, confounded)


def _fitted(features: np.ndarray, cases: np.ndarray):
    """A function of features (K, F) to decision values (K,), learned from people's (N, F)."""
    # imported here: it takes long, and a study without diagnoses needn't wait for it
    from sklearn.linear_model import LogisticRegression

    means, spreads = features.mean(axis=0), features.std(axis=0)
    spreads = np.where(spreads > 0, spreads, 1)
    model = LogisticRegression(C=PENALTY, solver=SOLVER).fit((features - means) / spreads, cases)
    return lambda shown: model.decision_function((shown - means) / spreads)


def wins(values: np.ndarray, cases: np.ndarray) -> np.ndarray:
    """How often a case's decision value lies above another person's: (cases, others), of values (..., N).

    The mean over the leading axes, NaN left out; a tie counts half. Its mean is the area under the curve.
    """
    above, below = values[..., cases, None], values[..., None, ~cases]
    with np.errstate(invalid="ignore"):
        found = np.where(np.isnan(above) | np.isnan(below), math.nan, (above > below) + 0.5 * (above == below))
    return np.nanmean(found.reshape(-1, *found.shape[-2:]), axis=0)


def resampled(matrix: np.ndarray, rounds: int, random: np.random.Generator) -> np.ndarray:
    """Areas (rounds,) of people drawn with replacement, each group by itself, from their `wins` (cases, others).

    The fits stay as they are, so that the spread is that of the people who are judged alone.
    """
    first, second = (random.multinomial(size, np.full(size, 1 / size), size=rounds) / size for size in matrix.shape)
    return np.einsum("rc,co,ro->r", first, matrix, second)


def detection(features: np.ndarray, cases: np.ndarray, *, seed: int, rounds: int) -> dict[str, float]:
    """The numbers of `COLUMNS` after `cases`, of features (N, M, F) and cases (N,); intervals by resampled people."""
    decisions = decide(features, cases)
    scanners = features.shape[1]
    own = np.eye(scanners, dtype=bool)
    by_design = {
        "auc_same": wins(decisions.plain[own], cases),
        "auc_other": wins(decisions.plain[~own], cases),
        "auc_confounded": wins(decisions.confounded[~own], cases),
    }
    by_design["drop"] = by_design["auc_same"] - by_design["auc_other"]
    found: dict[str, float] = {}
    for name in NUMBERS:
        drawn = resampled(by_design[name], rounds, generator(seed, TABLE))
        low, high = np.percentile(drawn, SPREAD)
        found |= {name: float(by_design[name].mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
    agreement = [float(icc(decisions.plain[a].T)) for a in range(scanners)]
    return found | {"decision_icc": float(np.mean(agreement))}


def of_study(measured: Measured) -> dict[str, pd.DataFrame]:
    """A row a method and kind of features; none without two groups of diagnosis of enough people.

    People without a diagnosis, or without a scan on every scanner, are left out. The rows of `TRUTH` are the first.
    """
    study = measured.study
    known = COVARIATE in set().union(*(scan.covariates for scan in study.scans))
    found = contrasts(study.covariate(COVARIATE), study.subjects) if known else None
    if found is None or not set(np.unique(found[0][np.isfinite(found[0])])) <= {0.0, 1.0} or len(study.scanners) < 2:
        return {TABLE: pd.DataFrame(columns=COLUMNS)}
    groups, meaning = found
    rows = []
    for kind, tables in (
        (TISSUE_VOLUMES, _tissue_volumes(measured)),
        (REGIONS, _regional_volumes(measured)),
    ):
        for method, features in tables.items():
            there = np.isfinite(features).all(axis=(1, 2)) & np.isfinite(groups)
            cases = groups[there] == 1
            if min(cases.sum(), (~cases).sum()) < FEWEST_IN_A_GROUP:
                continue
            numbers = detection(features[there], cases, seed=measured.seed, rounds=measured.resamples)
            about = {"features": kind, "contrast": meaning, "n": int(there.sum()), "cases": int(cases.sum())}
            rows.append({"method": method, **about, **numbers})
    return {TABLE: pd.DataFrame(rows, columns=COLUMNS)}


def _tissue_volumes(measured: Measured) -> Mapping[str, np.ndarray]:
    """By method the three tissues' volumes (people, scanners, 3), the truth's first."""
    volumes = measured.tables["volumes"]
    column = f"volume_ml{volume_rules.main_rule(volumes, 'volume_ml')}"
    found = {}
    truth = measured.tables.get("truth")
    if truth is not None and not truth.empty:
        found[TRUTH] = _wide(truth[truth["method"] == RAW], "true_volume_ml", ["tissue"], list(TISSUES), measured)
    for method, part in volumes.groupby("method", sort=False):
        found[str(method)] = _wide(part, column, ["tissue"], list(TISSUES), measured)
    return found


def _regional_volumes(measured: Measured) -> Mapping[str, np.ndarray]:
    """By method, of those that have them, gray matter's volumes by region (people, scanners, regions)."""
    column = f"volume_ml{volume_rules.main_rule(measured.tables['volumes'], 'volume_ml')}"
    raw = _gray(measured.regions(RAW))
    chosen = large_enough(raw, column) if len(raw) else raw
    if not len(chosen):
        return {}
    found = {}
    for method in measured.arms:
        part = _gray(measured.regions(method))
        if len(part):
            found[method] = _wide(part, column, ["region"], list(chosen["region"]), measured)
    return found


def _gray(regions: pd.DataFrame) -> pd.DataFrame:
    found = of_scans(regions)
    return found if found.empty else found[found["tissue"] == "GM"]


def _wide(
    table: pd.DataFrame, column: str, by: Sequence[str], features: Sequence[object], measured: Measured
) -> np.ndarray:
    """A column of a long table as (people, scanners, features), NaN for what isn't there."""
    wide = table.pivot_table(index="subject", columns=["scanner", *by], values=column, aggfunc="first")
    columns = pd.MultiIndex.from_product([measured.study.scanners, features])
    people = measured.study.subjects
    values = wide.reindex(index=people, columns=columns).to_numpy(float)
    return values.reshape(len(people), len(measured.study.scanners), len(features))
