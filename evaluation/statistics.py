"""Paired tests of each arm against RAW, as in the paper, with what the paper leaves out beside them.

The unit is the subject: one value a subject, pair of scanners and tissue. Pairs of scanners are never
pooled, since a subject's pairs aren't independent.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from core.errors import InputError
from core.files import read_table
from core.names import MISSING, RAW
from core.run_folder import RunFolder
from evaluation.measures import registry
from evaluation.measures.interface import Measure
from evaluation.power import SIGNIFICANCE, people_needed
from evaluation.runs.arms_table import read_arms

SOUGHT = 0.1
"""The difference whose sample size is given, as a share of the reference's mean."""

RESOLUTION = 1e-5
"""Tables keep six significant digits, so differences closer than this share of the values are equal."""

COLUMNS = [
    "measure",
    "tissue",
    "scanner_a",
    "scanner_b",
    "method",
    "reference",
    "n",
    "mean",
    "reference_mean",
    "mean_difference",
    "t",
    "df",
    "p",
    "p_holm",
    "p_bh",
    "dz",
    "better",
    "significant",
    "wilcoxon_p",
    "n_for_10_percent",
]


@dataclass(frozen=True)
class PairedTest:
    """A two-sided paired t-test of a method against the reference; NaN where it has no answer.

    `mean_difference` is method minus reference, `dz` that over the standard deviation (ddof 1) of the
    differences, `wilcoxon_p` the p of Wilcoxon's signed-rank test on the same differences, and
    `n_for_10_percent` how many people would show a difference of 10 % of the reference's mean.
    """

    n: int
    mean: float
    reference_mean: float
    mean_difference: float
    t: float
    df: float
    p: float
    dz: float
    wilcoxon_p: float
    n_for_10_percent: float


def paired_test(values: np.ndarray, reference: np.ndarray) -> PairedTest:
    """Test paired values (N,) against the reference's (N,), the same subjects in the same order.

    Subjects whose value is NaN on either side are left out; n says how many remain. With n < 2, or
    differences that are all the same, there is no test: t, p, dz and Wilcoxon's p are NaN.
    """
    both = np.isfinite(values) & np.isfinite(reference)
    values, reference = values[both], reference[both]
    n = len(values)
    nan = float("nan")
    if n == 0:
        return PairedTest(0, *[nan] * 9)
    differences = values - reference
    means = float(values.mean()), float(reference.mean()), float(differences.mean())
    largest = max(np.abs(values).max(), np.abs(reference).max())
    if n < 2 or np.ptp(differences) <= RESOLUTION * largest:
        return PairedTest(n, *means, *[nan] * 6)
    test = stats.ttest_rel(values, reference)
    return PairedTest(
        n,
        *means,
        t=float(test.statistic),
        df=float(test.df),
        p=float(test.pvalue),
        dz=float(differences.mean() / differences.std(ddof=1)),
        wilcoxon_p=_wilcoxon(differences),
        n_for_10_percent=people_needed(SOUGHT * means[1], float(differences.std(ddof=1))),
    )


def _wilcoxon(differences: np.ndarray) -> float:
    with warnings.catch_warnings():
        # says that it uses the normal approximation where differences tie or are zero
        warnings.simplefilter("ignore")
        return float(stats.wilcoxon(differences).pvalue)


def adjusted(p_values: np.ndarray, method: str) -> np.ndarray:
    """p values (K,) adjusted over all that aren't NaN: `holm`, or `fdr_bh` (Benjamini-Hochberg)."""
    found = np.full(len(p_values), np.nan)
    known = np.isfinite(p_values)
    if known.any():
        found[known] = multipletests(p_values[known], method=method)[1]
    return found


def paired_tests(values: pd.DataFrame, measure: Measure, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Test every method against RAW for each tissue and pair of scanners: one table, `COLUMNS`.

    `values` has method, subject, scanner_a, scanner_b, tissue (NaN for a measure without) and value, in
    any order of subjects; methods and tissues come out in the order they first appear. p is adjusted
    over the whole table, RAW's own rows left out; those say "n/a", as does a test without an answer.
    """
    wide = values.pivot(index=["tissue", "scanner_a", "scanner_b", "method"], columns="subject", values="value")
    rows = []
    for tissue in values["tissue"].unique():
        for scanner_a, scanner_b in pairs:
            for arm in values["method"].unique():
                key = (tissue, scanner_a, scanner_b)
                if (*key, arm) not in wide.index:
                    continue
                found = wide.loc[(*key, arm), :].to_numpy(dtype=float)
                has_reference = (*key, RAW) in wide.index
                reference = (
                    wide.loc[(*key, RAW), :].to_numpy(dtype=float) if has_reference else np.full_like(found, np.nan)
                )
                rows.append(
                    {
                        "measure": measure.name,
                        "tissue": tissue,
                        "scanner_a": scanner_a,
                        "scanner_b": scanner_b,
                        "method": arm,
                        "reference": RAW,
                        **vars(paired_test(found, reference)),
                    }
                )
    table = pd.DataFrame(rows, columns=[column for column in COLUMNS if not column.startswith("p_")])
    p = table["p"].to_numpy(dtype=float)
    table["p_holm"] = adjusted(p, "holm")
    table["p_bh"] = adjusted(p, "fdr_bh")
    tested = np.isfinite(p)
    better = np.array([measure.improves(difference) for difference in table["mean_difference"]], dtype=bool)
    table["better"] = np.where(tested, np.where(better, "yes", "no"), MISSING)
    table["significant"] = np.where(tested, np.where(better & (p < SIGNIFICANCE), "yes", "no"), MISSING)
    return table[COLUMNS]


def values_of(run: Path, measure: Measure) -> pd.DataFrame:
    """One measure of a run: method, subject, scanner_a, scanner_b, tissue ("n/a" without one), value.

    Raises `InputError` where the run's table hasn't the measure's column.
    """
    path = RunFolder(run).metric(measure.table)
    table = read_table(path)
    if measure.column not in table:
        raise InputError(f"{path}: no column '{measure.column}'; make the run's metrics anew")
    table = table.rename(columns={measure.column: "value"})
    if "tissue" not in table.columns:
        table["tissue"] = MISSING
    return table[["method", "subject", "scanner_a", "scanner_b", "tissue", "value"]]


def run_statistics(run: Path, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """The paired tests of every measure of a run that is tested, each adjusted over a table of its own.

    Controls and further seeds aren't tested: they are there to be compared with, see `evaluation.verdicts`.
    """
    described = read_arms(run)
    tables = []
    for measure in registry.measures().values():
        if measure.tested:
            values = values_of(run, measure)
            of_arm = [arm not in described or described[arm].role == "arm" for arm in values["method"]]
            values = values[of_arm]
            # an engine that estimates no partial volumes leaves theirs without a number
            if values["value"].notna().any():
                tables.append(paired_tests(values, measure, pairs))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
