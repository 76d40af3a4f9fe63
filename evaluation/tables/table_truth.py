"""How near the arms come to the truth, where it is known."""

from __future__ import annotations

from core.names import MISSING, PAPER_TISSUES
from evaluation.measures import registry
from evaluation.measures.interface import Measure
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import column_data, method_panel, per_subject, summarize, tissue_panel
from evaluation.tables.layout import Table
from evaluation.tables.notes import all_notes, segmentation_note
from evaluation.volume_rules import NAMES

COLUMNS = (
    "method",
    "subject",
    "scanner",
    "tissue",
    "true_volume_ml",
    "volume_error_ml",
    "volume_error_ml_hard",
    "volume_error_ml_pve",
    "dice_truth",
)


def make(run: FinishedRun) -> Table | None:
    """How near the arms come to the truth; None for a study whose truth isn't known."""
    found = run.table("metrics/truth.tsv", COLUMNS)
    if found is None or found.empty:
        return None
    truth = found.copy()
    for ending in NAMES:
        truth[f"absolute_error_ml{ending}"] = truth[f"volume_error_ml{ending}"].abs()
    absolute = {f"absolute_error_ml{ending}": f"absolute error, {name}" for ending, name in NAMES.items()}
    own = run.rule or "the run's rule"
    errors = {
        "true_volume_ml": "true volume",
        **absolute,
        **{f"volume_error_ml{ending}": f"error, {name}" for ending, name in NAMES.items()},
        "volume_error_ml": f"error, {own}",
    }
    measures: dict[str, Measure | None] = {
        **dict.fromkeys(errors),
        **dict.fromkeys(absolute, registry.find("volume_error")),
    }
    cells = summarize(per_subject(truth, list(errors)), measures)
    panels = [tissue_panel(run, cells, title="Volumes against the truth, mL", columns=errors, decimals=2)]
    data = [cells.assign(quantity="volume")]

    dice = registry.find("dice_truth")
    cells = summarize(per_subject(truth, ["dice_truth"]), {"dice_truth": dice})
    data.append(cells.assign(quantity="dice"))
    tissues = {tissue: tissue for tissue in PAPER_TISSUES}
    across = cells.assign(column=cells["tissue"], tissue=MISSING)
    panels.append(method_panel(run, across, title=dice.label, columns=tissues, decimals=3))

    images = run.table("metrics/truth_similarity.tsv")
    notes = []
    if images is not None and not images.empty:
        names = ["ssim_truth", "ssim_truth_mean", "pearson_truth"]
        likeness = {name: registry.find(name) for name in names}
        cells = summarize(per_subject(images, names), dict(likeness))
        data.append(cells.assign(quantity="image"))
        labels = {name: measure.label for name, measure in likeness.items()}
        panels.append(method_panel(run, cells, title="Images against the truth", columns=labels, decimals=3))
        notes = [f"{measure.label}: {measure.definition}" for measure in likeness.values()]
    notes = [
        "Mean (SD) over n subjects of each subject's mean over scanners; bold: best of the methods. Error: estimate "
        "minus truth; the truth is the sum of the true tissue fractions.",
        segmentation_note(run, "as each column says"),
        *notes,
    ]
    table = column_data(run, data, "value_of")
    return Table("table_truth", "Nearness to the truth", table, panels, all_notes(run, notes))
