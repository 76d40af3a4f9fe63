"""How many people would show a difference from RAW."""

from __future__ import annotations

import pandas as pd

from core.names import MISSING
from evaluation.measures import registry
from evaluation.power import POWER, SIGNIFICANCE
from evaluation.runs.finished_run import FinishedRun
from evaluation.statistics import SOUGHT
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes

ROLES = ("arm",)
PAPERS_OWN = "volume_difference"
"""By the rule of the paper's Table 3; here the volumes' differences are those by partial-volume sum and hard label."""


def make(run: FinishedRun) -> Table | None:
    """How many people would show a difference of 10 % from RAW; None for tests without that column."""
    tests = run.table("statistics/paired_tests.tsv")
    if tests is None or "n_for_10_percent" not in tests or tests["n_for_10_percent"].isna().all():
        return None
    known = tests["n_for_10_percent"].notna() & (tests["measure"] != PAPERS_OWN)
    tests = tests[known].fillna({"tissue": MISSING})
    rows: list[list[str | Entry]] = []
    data = []
    for (name, tissue), part in tests.groupby(["measure", "tissue"], sort=False):
        for arm in run.arms_in(part):
            cell = part[part["method"] == arm]
            people = cell["n_for_10_percent"]
            row = {
                "measure": name,
                "tissue": tissue,
                "method": arm,
                "label": run.label(arm),
                "n": int(cell["n"].max()),
                "pairs": len(cell),
                "pairs_shown": int((people <= cell["n"]).sum()),
                "people_lowest": people.min(),
                "people_median": people.median(),
                "people_highest": people.max(),
            }
            data.append(row)
            label = registry.find(str(name)).label + ("" if tissue == MISSING else f", {tissue}")
            rest = Entry(f"{row['people_median']:.0f}", f" [{row['people_lowest']:.0f} {row['people_highest']:.0f}]")
            rows.append([label, row["label"], str(row["n"]), rest, f"{row['pairs_shown']} of {row['pairs']}"])
    notes = [
        f"People for whom a two-sided paired t-test against RAW (p < {SIGNIFICANCE:g}) would show a difference of "
        f"{SOUGHT:.0%} of RAW's mean with a power of {POWER:.0%}, from the standard deviation of the paired "
        "differences in this run: median over the pairs of scanners [fewest most]. Last column: for how many pairs "
        "the run's own n suffices. A standard deviation from few people is uncertain itself, and n with it."
    ]
    panel = Panel(
        "", ["Measure", "Method", "n", f"People for {SOUGHT:.0%} at {POWER:.0%}", "Pairs with enough people"], rows
    )
    title = f"People needed to show a difference of {SOUGHT:.0%}"
    return Table("table_power", title, pd.DataFrame(data), [panel], all_notes(run, notes))
