"""Figure 5: how far volumes from two scanners are apart, as root mean square error."""

from __future__ import annotations

from pathlib import Path

from core.names import PAPER_TISSUES
from evaluation.figures import style
from evaluation.figures.pair_bars import by_pair, largest_counts, pair_label, plot
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm",)

TITLE = "Figure 5. RMSE of volumes between scanners"
TOPIC = "Volumes"
CAPTION = (
    "Root mean square over subjects of the difference between two scanners' volumes by the run's rule, by tissue, "
    "pair of scanners and arm; whiskers are 95 % intervals over subjects (Student's t on the logarithm, jackknife "
    "standard error). Lower is better: 0 would be equal volumes from both scanners for every subject."
)
WHISKERS = "Whiskers: 95 % interval over subjects, Student's t on the logarithm with the jackknife's standard error."


def draw(run: FinishedRun) -> list[Path]:
    """Draw `metrics/rmse.tsv`."""
    columns = ["method", "scanner_a", "scanner_b", "tissue", "rmse_ml", "ci_low", "ci_high", "n"]
    table = run.table("metrics/rmse.tsv", columns)
    folder, name = run.files.figures, "figure5_rmse"
    if table is None or table["rmse_ml"].notna().sum() == 0:
        figure = style.page(TITLE, height=1.0, simulated=run.simulated, notes=run.notes())
        style.say_nothing_to_draw(figure, "The run has no differences of volumes.")
        return style.save(figure, folder, name)
    arms = run.arms_in(table)
    tissues = [tissue for tissue in PAPER_TISSUES if (table["tissue"] == tissue).any()]
    values = {
        column: {t: by_pair(table[table["tissue"] == t], run.pairs, arms, column) for t in tissues}
        for column in ("rmse_ml", "ci_low", "ci_high", "n")
    }
    figure = plot(
        values["rmse_ml"],
        values["ci_low"],
        values["ci_high"],
        pairs=[pair_label(pair) for pair in run.pairs],
        arms=[run.label(arm) for arm in arms],
        looks=[style.looks(run.arms)[arm] for arm in arms],
        title=style.by_rule(TITLE, run.rule),
        unit="RMSE (mL)",
        counts=largest_counts(values["n"]),
        simulated=run.simulated,
        notes=[WHISKERS, *run.notes()],
    )
    return style.save(figure, folder, name)
