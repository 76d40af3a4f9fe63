"""Whether a ranking hangs on the study: the arms' scores in several, by how much of what differs is the scanner.

The studies are runs of one list of arms, such as the phantom's variants. What a scanner does to a person's scans is
told from what any second scan does by the rescans: of RAW's dissimilarity in a measure, the share that a rescan
doesn't have.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from core.errors import InputError
from core.files import read_table
from core.names import RAW
from core.run_folder import RunFolder
from evaluation.measures import registry
from evaluation.measures.interface import Measure, rescan_table
from evaluation.runs.arms_table import read_arms
from evaluation.verdicts.verdict import VERDICT_COLUMNS

COLUMNS = ["run", "scanner_share", "method", "role", "score", "score_low", "score_high", "rank", "harmonizes"]
SHARE_MEASURE = "ssim"


def scanner_share(between: float, rescan: float, measure: Measure) -> float:
    """Share of RAW's dissimilarity between scanners that rescans don't have, at least 0; NaN where there is none.

    `between` and `rescan` are RAW's means; the dissimilarity is their distance from the measure's best value.
    """
    apart, again = abs(measure.best - between), abs(measure.best - rescan)
    return max(0.0, 1 - again / apart) if apart > 0 else math.nan


def share_of_run(run: Path) -> float:
    """A run's scanner share in SSIM. Raises `InputError` for a run without rescans."""
    measure = registry.find(SHARE_MEASURE)
    means = []
    for name in (measure.table, rescan_table(measure.table)):
        path = RunFolder(run).metric(name)
        table = read_table(path) if path.is_file() else pd.DataFrame(columns=["method", measure.column])
        values = table.loc[table["method"] == RAW, measure.column]
        if values.empty:
            raise InputError(f"{path}: nothing of RAW; a run with rescans is needed (column session of its sheet)")
        means.append(float(values.mean()))
    between, rescan = means
    return scanner_share(between, rescan, measure)


def scores(runs: Sequence[Path]) -> pd.DataFrame:
    """Every arm's score in the primary endpoint (0 RAW, 1 rescan) in every run: `COLUMNS`, by scanner share.

    Ranks are among the arms that compete and that every run has. Raises `InputError` for runs of other endpoints.
    """
    tables = []
    asked = {run: _primary(run) for run in runs}
    if len(set(asked.values())) > 1:
        told = "; ".join(f"{run}: {endpoint}" for run, endpoint in asked.items())
        raise InputError(f"the runs have different primary endpoints ({told}); give runs of one")
    for run in runs:
        verdicts = _statistic(run, "verdicts", VERDICT_COLUMNS)
        described = read_arms(run)
        competing = verdicts["method"].map(lambda arm, of=described: of[arm].competes)
        table = pd.DataFrame(
            {
                "run": run.name,
                "scanner_share": share_of_run(run),
                "method": verdicts["method"],
                "role": [described[arm].role for arm in verdicts["method"]],
                "score": verdicts["removed_share"],
                "score_low": verdicts["removed_share_low"],
                "score_high": verdicts["removed_share_high"],
                "rank": verdicts["removed_share"].where(competing).rank(ascending=False),
                "harmonizes": verdicts["harmonizes"],
            }
        )
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    return joined.sort_values("scanner_share", kind="stable")[COLUMNS].reset_index(drop=True)


def kendall_tau(pairs: np.ndarray) -> float:
    """Kendall's tau-b of two orders, of scores (N, 2) by each; NaN for fewer than two (Kendall 1938, Knight's ties)."""
    return float(stats.kendalltau(pairs[:, 0], pairs[:, 1]).statistic) if len(pairs) > 1 else math.nan


def agreement_of_order(table: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau of the arms' order in every two runs, of the arms that compete in both: run_a, run_b, n, tau.

    As `kendall_tau` has it, NaN for fewer than two arms.
    """
    ranked = table[table["rank"].notna()].pivot(index="method", columns="run", values="score")
    rows = []
    for a, b in itertools.combinations(dict.fromkeys(table["run"]), 2):
        both = ranked.reindex(columns=[a, b]).dropna().to_numpy(float)
        rows.append({"run_a": a, "run_b": b, "n": len(both), "tau": kendall_tau(both)})
    return pd.DataFrame(rows, columns=["run_a", "run_b", "n", "tau"])


def sentence(agreement: pd.DataFrame) -> str:
    """Whether the order of the arms holds from study to study."""
    taus = agreement["tau"].to_numpy(float)
    taus = taus[np.isfinite(taus)]
    if not len(taus):
        return "There are too few arms to say whether their order holds."
    held = "holds" if (taus == 1).all() else "doesn't hold"
    return (
        f"The order of the arms {held} (Kendall's tau between two studies from {taus.min():.2f} to {taus.max():.2f})."
    )


def _primary(run: Path) -> str:
    gains = _statistic(run, "gains", ["endpoint", "measure", "tissue"])
    first = gains[gains["endpoint"] == "primary"].iloc[0]
    return f"{first['measure']} {first['tissue']}"


def _statistic(run: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    table = read_table(RunFolder(run).statistic(name))
    for column in columns:
        if column not in table or table.empty:
            raise InputError(f"{RunFolder(run).statistic(name)}: no '{column}'; run `python -m evaluation statistics`")
    return table
