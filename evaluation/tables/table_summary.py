"""Every arm by every measure on the controls' scale, with ranks and values."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.names import MISSING
from evaluation.measures import registry
from evaluation.measures.interface import Measure
from evaluation.runs.finished_run import FinishedRun
from evaluation.summary import COLUMNS as SUMMARY_COLUMNS
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes

ASKED = {"removed": "Scanners' differences removed", "kept": "Person kept", "nearer": "Nearer the truth"}
"""What the summary's measures ask, and its panels' titles."""


def make(run: FinishedRun) -> Table | None:
    """Every arm by every measure on the controls' scale, with ranks and values; None for a run without a summary."""
    summary = run.table("statistics/summary.tsv", SUMMARY_COLUMNS)
    if summary is None or summary.empty:
        return None
    panels = [
        *(
            _summary_panel(run, summary[summary["asks"] == asks], title, "score", 2)
            for asks, title in ASKED.items()
            if (summary["asks"] == asks).any()
        ),
        *(
            _summary_panel(run, part[part["rank"].notna()], f"Rank of {which} that aren't controls", "rank", 1)
            for which, part in ranked_among(run, summary)
            if part["rank"].notna().any()
        ),
        _summary_panel(run, summary, "Value", "value", 3, ("ci_low", "ci_high")),
    ]
    ends = summary.drop_duplicates("measure")
    tops = ends.groupby("one_is", sort=False)["measure"].agg(
        lambda names: ", ".join(registry.find(name).label for name in names)
    )
    notes = [
        "Each measure on a scale of its own run. Differences removed and nearer the truth: 0 is RAW. Person kept: 0 is "
        "nothing, or a guess. "
        "1 is, for each measure: " + "; ".join(f"{words} for {names}" for words, names in tops.items()) + ". "
        "Above a rescan's 1: smoother than a rescan, which isn't better. Below 0: worse than RAW, or than nothing. "
        "n/a: 1 is no better than 0 here, or isn't known.",
        "[from to]: 95 % intervals over people, Student's t with the jackknife's standard error; of ranks, the middle "
        "95 % of resamples of the people, the same for every arm. The scanner's classifier isn't trained anew in them. "
        "Ranks: 1 is the best; equals share theirs. There is no total: an arm that removes everything by keeping "
        "nothing would win it.",
        *(f"{measure.label}: {measure.definition}" for measure in map(registry.find, ends["measure"])),
    ]
    data = summary.assign(label=[run.label(arm) for arm in summary["method"]])
    return Table("table_summary", "Summary on the controls' scale", data, panels, all_notes(run, notes))


def ranked_among(run: FinishedRun, summary: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Among which arms measures rank, and those measures' rows: arms of volumes have no rank by images."""
    of_volumes = [arm for arm, about in run.described.items() if about.gives == "volumes"]
    of_all = summary.loc[summary["method"].isin(of_volumes) & summary["value"].notna(), "measure"].unique()
    by_volumes = summary["measure"].isin(of_all)
    if not by_volumes.any():
        return [("the arms", summary)]
    return [("all arms, by volumes,", summary[by_volumes]), ("arms of images, by images,", summary[~by_volumes])]


def _summary_panel(
    run: FinishedRun,
    part: pd.DataFrame,
    title: str,
    column: str,
    decimals: int,
    ends: tuple[str, str] | None = None,
) -> Panel:
    low, high = ends or (f"{column}_low", f"{column}_high")
    names = list(dict.fromkeys(part["measure"]))
    rows: list[list[str | Entry]] = []
    for arm in run.arms_in(part):
        cells = part[part["method"] == arm].set_index("measure")
        row: list[str | Entry] = [run.label(arm), str(cells["n"].max())]
        for name in names:
            cell = cells.loc[name] if name in cells.index else None
            if cell is None or not np.isfinite(cell[column]):
                row.append(Entry(MISSING))
                continue
            known = np.isfinite(cell[low]) and np.isfinite(cell[high])
            spread = f" [{cell[low]:.{decimals}f} {cell[high]:.{decimals}f}]" if known else ""
            row.append(Entry(f"{cell[column]:.{decimals}f}", spread))
        rows.append(row)
    return Panel(title, ["Method", "n", *(_with_unit(registry.find(name), column) for name in names)], rows)


def _with_unit(measure: Measure, column: str) -> str:
    return f"{measure.label}, {measure.unit}" if column == "value" and measure.unit else measure.label
