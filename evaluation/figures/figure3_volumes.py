"""Figure 3: the distribution of tissue volumes by scanner, for every arm."""

from __future__ import annotations

from evaluation.figures import style
from evaluation.figures.scanner_boxes import by_tissue, plot
from evaluation.runs.finished_run import FinishedRun

ROLES = ("arm",)

TITLE = "Figure 3. Tissue volumes by scanner"
TOPIC = "Volumes"
CAPTION = (
    "Volumes of gray matter (GM), white matter (WM) and cerebrospinal fluid (CSF) by arm and scanner, by the run's "
    "rule of what counts as a tissue. Boxes: median and quartiles, whiskers to 1.5 times the interquartile range; "
    "points are subjects, and a line joins one subject's scans. The same people were scanned on every scanner, so in "
    "an ideally harmonized arm the boxes of a group are alike and the lines level."
)


def make(run: FinishedRun) -> style.Page:
    """Draw `metrics/volumes.tsv`."""
    table = run.table("metrics/volumes.tsv", ["method", "subject", "scanner", "tissue", "volume_ml"])
    if table is None or table["volume_ml"].notna().sum() == 0:
        return style.nothing_to_draw(TITLE, "The run has no volumes.", simulated=run.simulated, notes=run.notes())
    arms = run.arms_in(table)
    return plot(
        by_tissue(run, table, arms, "volume_ml"),
        arms=[run.label(arm) for arm in arms],
        scanners=run.scanners,
        people=run.subjects,
        looks=[style.looks(run.arms)[arm] for arm in arms],
        title=style.by_rule(TITLE, run.rule),
        simulated=run.simulated,
        notes=run.notes(),
    )
