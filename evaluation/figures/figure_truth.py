"""How far each arm's volumes are from the true ones, where a phantom or a simulation knows them."""

from __future__ import annotations

from evaluation.figures import scanner_boxes, style
from evaluation.runs.finished_run import FinishedRun
from evaluation.volume_rules import NAMES, main_rule

TITLE = "Error of volumes against the truth"
TOPIC = "Truth"
CAPTION = (
    "Volume by segmentation (the sum of partial volumes, or the hard label of an engine without any) minus the true "
    "volume (the sum of the true tissue fractions), by tissue, arm and scanner; 0 is right. Boxes: median and "
    "quartiles, whiskers to 1.5 times the interquartile range; points are subjects, and a line joins one subject's "
    "scans. A group of boxes far from 0 but alike is the segmentation's own bias; boxes that differ within a group "
    "are what is left of the scanners."
)


def make(run: FinishedRun) -> style.Page | None:
    """Draw `metrics/truth.tsv`; nothing for a study whose truth isn't known."""
    columns = [f"volume_error_ml{ending}" for ending in NAMES]
    table = run.table("metrics/truth.tsv", ["method", "subject", "scanner", "tissue", *columns])
    if table is None or table[columns].isna().all(axis=None):
        return None
    rule = main_rule(table, "volume_error_ml")
    arms = run.arms_in(table)
    return scanner_boxes.plot(
        scanner_boxes.by_tissue(run, table, arms, f"volume_error_ml{rule}"),
        arms=[run.label(arm) for arm in arms],
        scanners=run.scanners,
        people=run.subjects,
        looks=[style.looks(run.arms)[arm] for arm in arms],
        title=style.by_rule(TITLE, NAMES[rule]),
        unit="error (mL)",
        zero_line=True,
        simulated=run.simulated,
        notes=run.notes(),
    )
