"""Figure 6: how far two scanners' segmentations overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.names import PAPER_TISSUES
from evaluation.figures import pair_bars, style
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


def stars_of(tests: pd.DataFrame | None, tissue: str, pairs: list[tuple[str, str]], arms: list[str]) -> np.ndarray:
    """Which (pairs, methods) are significantly better than RAW in the Dice of a tissue."""
    if tests is None:
        return np.zeros((len(pairs), len(arms)), dtype=bool)
    chosen = tests[(tests["measure"] == "dice") & (tests["tissue"] == tissue)].copy()
    chosen["star"] = (finished_run.is_yes(chosen["significant"]) & (chosen["mean_difference"] > 0)).astype(float)
    return pair_bars.by_pair(chosen, pairs, arms, "star") == 1


def draw(run: FinishedRun) -> list[Path]:
    """Draw `metrics/dice.tsv` with the stars of `statistics/paired_tests.tsv`."""
    table = run.table("metrics/dice.tsv", ["method", "subject", "scanner_a", "scanner_b", "tissue", "dice"])
    folder, name = run.files.figures, "figure6_dice"
    if table is None or table["dice"].notna().sum() == 0:
        figure = style.page(TITLE, height=1.0, simulated=run.simulated, notes=run.notes())
        style.say_nothing_to_draw(figure, "The run has no overlaps of segmentations.")
        return style.save(figure, folder, name)
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
    means, spreads = values["mean"], values["std"]
    figure = pair_bars.plot(
        means,
        {tissue: means[tissue] - spreads[tissue] for tissue in tissues},
        {tissue: means[tissue] + spreads[tissue] for tissue in tissues},
        stars={tissue: stars_of(tests, tissue, run.pairs, arms) for tissue in tissues},
        pairs=[pair_bars.pair_label(pair) for pair in run.pairs],
        arms=[run.label(arm) for arm in arms],
        looks=[style.looks(run.arms)[arm] for arm in arms],
        unit="Dice (0 to 1)",
        title=style.by_rule(TITLE, run.rule),
        counts=pair_bars.largest_counts(values["count"]),
        decimals=2,
        one_scale=True,
        simulated=run.simulated,
        notes=[
            "Whiskers: one standard deviation over subjects.",
            "* significantly better than RAW (paired t-test, p < 0.05).",
            *run.notes(),
        ],
    )
    return style.save(figure, folder, name)
