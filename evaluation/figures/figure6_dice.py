"""Figure 6: how far two scanners' segmentations overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.names import PAPER_TISSUES
from evaluation.figures import pair_bars, spreads, style
from evaluation.runs import finished_run
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm",)

TITLE = "Figure 6. Dice overlap of segmentations between scanners"
TOPIC = "Overlap"
CAPTION = (
    "Dice similarity of two scanners' tissue masks by the run's rule, by tissue, pair of scanners and arm: the mean "
    "over subjects, with whiskers of one standard deviation. A star marks an arm that is significantly better than "
    "RAW (paired t-test over subjects, p < 0.05). Higher is better; 1 is complete overlap."
)


OVER_PAIRS = (
    "Dice similarity of two scanners' tissue masks by the run's rule, by tissue and arm: the mean over subjects, a "
    "value a pair of scanners, since there are too many pairs for a bar each. Below each box: for how many pairs the "
    "arm is significantly better than RAW (paired t-test over subjects, p < 0.05). Higher is better; 1 is complete "
    "overlap."
)


def stars_of(tests: pd.DataFrame | None, tissue: str, pairs: list[tuple[str, str]], arms: list[str]) -> np.ndarray:
    """Which (pairs, methods) are significantly better than RAW in the Dice of a tissue."""
    if tests is None:
        return np.zeros((len(pairs), len(arms)), dtype=bool)
    chosen = tests[(tests["measure"] == "dice") & (tests["tissue"] == tissue)].copy()
    chosen["star"] = (finished_run.is_yes(chosen["significant"]) & (chosen["mean_difference"] > 0)).astype(float)
    return pair_bars.by_pair(chosen, pairs, arms, "star") == 1


def make(run: FinishedRun) -> style.Page:
    """Draw `metrics/dice.tsv` with the stars of `statistics/paired_tests.tsv`."""
    table = run.table("metrics/dice.tsv", ["method", "subject", "scanner_a", "scanner_b", "tissue", "dice"])
    if table is None or table["dice"].notna().sum() == 0:
        return style.nothing_to_draw(
            TITLE, "The run has no overlaps of segmentations.", simulated=run.simulated, notes=run.notes()
        )
    tests = run.table(
        "statistics/paired_tests.tsv",
        ["measure", "tissue", "scanner_a", "scanner_b", "method", "mean_difference", "significant"],
    )
    summary = (
        table.groupby(["method", "scanner_a", "scanner_b", "tissue"], sort=False)["dice"]
        .agg(["mean", "std", "count"])
        .reset_index()
    )
    arms = run.arms_in(summary)
    tissues = [tissue for tissue in PAPER_TISSUES if (summary["tissue"] == tissue).any()]
    values = {
        column: {t: pair_bars.by_pair(summary[summary["tissue"] == t], run.pairs, arms, column) for t in tissues}
        for column in ("mean", "std", "count")
    }
    means, deviations = values["mean"], values["std"]
    stars = {tissue: stars_of(tests, tissue, run.pairs, arms) for tissue in tissues}
    pairs, unit = [pair_bars.pair_label(pair) for pair in run.pairs], "Dice (0 to 1)"
    about: dict[str, Any] = {
        "arms": [run.label(arm) for arm in arms],
        "looks": [style.looks(run.arms)[arm] for arm in arms],
        "title": style.by_rule(TITLE, run.rule),
        "simulated": run.simulated,
    }
    if pair_bars.panel_height(pairs, arms, len(tissues)) is None:
        return spreads.plot(
            {f"{tissue} {unit}": means[tissue].T for tissue in tissues},
            under={f"{tissue} {unit}": [str(count) for count in stars[tissue].sum(axis=0)] for tissue in tissues},
            caption=OVER_PAIRS,
            notes=[pair_bars.over_pairs(pairs), "Below: pairs with p < 0.05 against RAW.", *run.notes()],
            **about,
        )
    return pair_bars.plot(
        means,
        {tissue: means[tissue] - deviations[tissue] for tissue in tissues},
        {tissue: means[tissue] + deviations[tissue] for tissue in tissues},
        stars=stars,
        pairs=pairs,
        unit=unit,
        counts=pair_bars.largest_counts(values["count"]),
        decimals=2,
        one_scale=True,
        **about,
        notes=[
            "Whiskers: one standard deviation over subjects.",
            "* significantly better than RAW (paired t-test, p < 0.05).",
            *run.notes(),
        ],
    )
