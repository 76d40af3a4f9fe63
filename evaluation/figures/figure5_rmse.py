"""Figure 5: how far volumes from two scanners are apart, as root mean square error."""

from __future__ import annotations

from typing import Any

from core.names import PAPER_TISSUES
from evaluation.figures import spreads, style
from evaluation.figures.pair_bars import by_pair, largest_counts, over_pairs, pair_label, panel_height, plot
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm",)

TITLE = "Figure 5. RMSE of volumes between scanners"
TOPIC = "Volumes"
CAPTION = (
    "Root mean square over subjects of the difference between two scanners' volumes by the run's rule, by tissue, "
    "pair of scanners and arm; whiskers are 95 % intervals over subjects (Student's t on the logarithm, jackknife "
    "standard error). Lower is better: 0 would be equal volumes from both scanners for every subject."
)
OVER_PAIRS = (
    "Root mean square over subjects of the difference between two scanners' volumes by the run's rule, by tissue and "
    "arm: a value a pair of scanners, since there are too many pairs for a bar each. Lower is better: 0 would be equal "
    "volumes from both scanners for every subject."
)
WHISKERS = "Whiskers: 95 % interval over subjects, Student's t on the logarithm with the jackknife's standard error."


def make(run: FinishedRun) -> style.Page:
    """Draw `metrics/rmse.tsv`."""
    columns = ["method", "scanner_a", "scanner_b", "tissue", "rmse_ml", "ci_low", "ci_high", "n"]
    table = run.table("metrics/rmse.tsv", columns)
    if table is None or table["rmse_ml"].notna().sum() == 0:
        return style.nothing_to_draw(
            TITLE, "The run has no differences of volumes.", simulated=run.simulated, notes=run.notes()
        )
    arms = run.arms_in(table)
    tissues = [tissue for tissue in PAPER_TISSUES if (table["tissue"] == tissue).any()]
    values = {
        column: {t: by_pair(table[table["tissue"] == t], run.pairs, arms, column) for t in tissues}
        for column in ("rmse_ml", "ci_low", "ci_high", "n")
    }
    pairs, unit = [pair_label(pair) for pair in run.pairs], "RMSE (mL)"
    about: dict[str, Any] = {
        "arms": [run.label(arm) for arm in arms],
        "looks": [style.looks(run.arms)[arm] for arm in arms],
        "title": style.by_rule(TITLE, run.rule),
        "simulated": run.simulated,
    }
    if panel_height(pairs, arms, len(tissues)) is None:
        spread = {f"{tissue} {unit}": values["rmse_ml"][tissue].T for tissue in tissues}
        return spreads.plot(spread, caption=OVER_PAIRS, notes=[over_pairs(pairs), *run.notes()], **about)
    return plot(
        values["rmse_ml"],
        values["ci_low"],
        values["ci_high"],
        pairs=pairs,
        unit=unit,
        counts=largest_counts(values["n"]),
        notes=[WHISKERS, *run.notes()],
        **about,
    )
