"""How volumes repeat between scanners."""

from __future__ import annotations

from core.names import PAPER_TISSUES
from evaluation.measures import registry
from evaluation.measures.reliability import COLUMNS as RELIABILITY_COLUMNS
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.cells import ends, number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes, segmentation_note
from evaluation.volume_rules import HARD, NAMES


def make(run: FinishedRun) -> Table | None:
    """How volumes repeat between scanners; None for a run without these measures."""
    found = run.table("metrics/reliability.tsv", RELIABILITY_COLUMNS)
    if found is None or found.empty:
        return None
    header = ["ICC(A,1)", "Within-person CV, %", "Within-person SD, mL", "Between-person SD, mL", "of the mean, %"]
    beside = ["ICC", "within-person CV, %", "between-person SD, mL"]
    header += [f"{name}, {NAMES[HARD]}" for name in beside]
    rows: list[list[str | Entry]] = []
    for tissue in PAPER_TISSUES:
        for arm in run.arms_in(found):
            for cell in found[(found["tissue"] == tissue) & (found["method"] == arm)].to_dict("records"):
                entries = [
                    number(cell["icc"], 2, ends(cell, "icc_low", "icc_high")),
                    number(cell["within_person_cv"], 2, ends(cell, "within_person_cv_low", "within_person_cv_high")),
                    number(cell["within_person_sd_ml"], 2),
                    number(
                        cell["between_person_sd_ml"],
                        1,
                        ends(cell, "between_person_sd_low_ml", "between_person_sd_high_ml", 1),
                    ),
                    number(cell["between_person_cv"], 2),
                    number(cell["icc_hard"], 2),
                    number(cell["within_person_cv_hard"], 2),
                    number(cell["between_person_sd_ml_hard"], 1),
                ]
                rows.append([tissue, run.label(arm), str(cell["n"]), *entries])
    title = "How volumes repeat between scanners"
    notes = [
        "n people seen by every scanner. [from to]: 95 % intervals: McGraw and Wong's of the ICC (1996), Student's t "
        "on the logarithm with the jackknife's standard error of the CV, the modified large-sample one of the "
        "between-person SD (Ting et al. 1990). A small within-person SD is worth nothing where the between-person SD "
        "shrinks with it.",
        *(f"{measure.label}: {measure.definition}" for measure in map(registry.find, ("icc", "within_person_cv"))),
        segmentation_note(run, f"{found['rule'].iloc[0]}, where nothing else is named"),
    ]
    data = found.assign(label=[run.label(arm) for arm in found["method"]])
    panel = Panel(title, ["Tissue", "Method", "n", *header], rows)
    return Table("table_reliability", title, data, [panel], all_notes(run, notes))
