"""What is printed under a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evaluation.label_trust import doubt_note
from evaluation.measures.interface import Measure
from evaluation.power import SIGNIFICANCE
from evaluation.runs.finished_run import FinishedRun, is_yes
from evaluation.tables.cells import tests_of
from evaluation.tables.published import PAPER_SUBJECTS
from evaluation.volume_rules import ENDINGS, flips_of_run

SIMULATED = (
    "Simulated: these scans were made by simulated scanners. The table shows how the methods behave on a "
    "calibrated simulation; it is no evidence about real scanners."
)
STAND_IN = "gmm, a Gaussian mixture that stands in for FAST: it knows no neighbors and no bias field"


def reading_note(run: FinishedRun, measure: Measure, best: str, of: str = "") -> str:
    """How to read a table's bold and stars, and how many stars are left after correction."""
    tests = tests_of(run, measure)
    starred = is_yes(tests["significant"])
    kept = {name: int((starred & (tests[name] < SIGNIFICANCE)).sum()) for name in ("p_holm", "p_bh")}
    remain = (
        f"Of {int(starred.sum())} stars {kept['p_holm']} remain with Holm's correction over the table and "
        f"{kept['p_bh']} with Benjamini and Hochberg's."
        if starred.any()
        else "There is no star in this table."
    )
    return (
        f"{of}Mean (SD) over n subjects ([n = ...] where fewer); bold: {best} mean of the methods; *: better than RAW, "
        f"two-sided paired t-test over subjects, p < {SIGNIFICANCE:g} uncorrected. {remain}"
    )


def segmentation_note(run: FinishedRun, rule: str = "") -> str:
    """Which engine the volumes come from, and by which rule: the run's own where none is named."""
    volumes = run.table("metrics/volumes.tsv", ["engine", "rule"])
    if volumes is None or volumes.empty:
        return "Nothing was segmented."
    engines = [STAND_IN if engine == "gmm" else str(engine) for engine in volumes["engine"].unique()]
    about = (
        f"Segmentation: {', '.join(engines)}; what counts as a tissue: {rule or run.rule}. Volumes are those in the "
        "study's common space; no Jacobian of a registration enters them."
    )
    return " ".join(filter(None, [about, doubt_note(volumes, run.label)]))


def rules_note(run: FinishedRun) -> str:
    """Which arms and tissues are better than RAW by some rules of what counts as a tissue, and worse by others."""
    differences = run.table(
        "metrics/volume_differences.tsv",
        ["method", "subject", "scanner_a", "scanner_b", "tissue", *(f"absolute_difference_ml{end}" for end in ENDINGS)],
    )
    volumes = run.table("metrics/volumes.tsv", ["rule"])
    return "" if differences is None or volumes is None else flips_of_run(differences, volumes, run.label)


def paper_note(cells: pd.DataFrame, number: str, more: str) -> list[str]:
    """What the rows called 'paper' are, where the table has any."""
    if cells["paper_mean"].isna().all():
        return []
    return [
        f"Rows 'paper': Eshaghzadeh Torbati et al. 2021, Table {number}, {PAPER_SUBJECTS} subjects on four real "
        f"scanners, as published. {more}"
    ]


def all_notes(run: FinishedRun, notes: Sequence[str]) -> list[str]:
    """A table's notes between those that every table carries."""
    return [*([SIMULATED] if run.simulated else []), *notes, *run.notes()]
