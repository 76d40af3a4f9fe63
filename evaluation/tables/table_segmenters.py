"""Each segmenter against the truth and against itself, and what each says of the arms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.names import MISSING, PAPER_TISSUES, RAW
from evaluation import volume_rules
from evaluation.runs.finished_run import FinishedRun, is_yes
from evaluation.segmenters import COLUMNS, name_of
from evaluation.tables.cells import number
from evaluation.tables.layout import Entry, Panel, Table
from evaluation.tables.notes import all_notes
from evaluation.verdicts.answers import BEYOND

KEYS = ["subject", "scanner", "tissue"]


def make(run: FinishedRun) -> Table | None:
    """The gains by segmenter and rule, and above them how near the truth each is; None without volumes."""
    found = run.table("statistics/segmenters.tsv", COLUMNS)
    if found is None or found.empty:
        return None
    columns = list(found[["engine", "rule"]].fillna({"rule": ""}).drop_duplicates().itertuples(index=False, name=None))
    found = found.assign(rule=found["rule"].fillna(""), own=is_yes(found["own"]))
    names = [name_of(*column) for column in columns]
    rows: list[list[str | Entry]] = []
    for arm in run.arms_in(found):
        cells: list[str | Entry] = []
        for engine, rule in columns:
            of_arm = found[(found["method"] == arm) & (found["engine"] == engine) & (found["rule"] == rule)]
            cells.append(_gain(of_arm.iloc[0]) if len(of_arm) else Entry(MISSING))
        rows.append([run.label(arm), *cells])
    taus = found.drop_duplicates(["engine", "rule"])["tau"]
    rows.append(["Kendall's tau", *(number(tau, 2) for tau in taus)])
    tissue = found["tissue"].iloc[0]
    panels = [
        Panel(f"Gain over RAW in the difference of {tissue} volumes between scanners, mL", ["Method", *names], rows)
    ]
    of_raw = _of_raw(run)
    if not of_raw.empty:
        panels.insert(0, _accuracy(of_raw, found))
    notes = [
        "Gain: mean over people of RAW's mean absolute difference minus the arm's, with its 95 % interval; *: beyond "
        "RAW and every control by what counts, as the verdict asks it of the primary endpoint "
        f"({name_of(*columns[0])}).",
        "Kendall's tau: of the order of the arms' means with that by the primary endpoint. Arms that give volumes were "
        "given those of the run's own engine.",
        "Error: estimate minus truth, mean of its size over RAW's scans; Dice by the run's rule. Between "
        "scanners, rescans: RAW's mean absolute difference of volumes.",
    ]
    data = found.assign(label=[run.label(arm) for arm in found["method"]])
    return Table("table_segmenters", "What each segmenter says", data, panels, all_notes(run, notes))


def _gain(row: pd.Series) -> Entry:
    if not np.isfinite(row["gain"]):
        return Entry(MISSING)
    return Entry(
        f"{row['gain']:.2f}", f" ({row['gain_low']:.2f} to {row['gain_high']:.2f})", star=row["removed"] == BEYOND
    )


def _of_raw(run: FinishedRun) -> pd.DataFrame:
    """RAW's volumes by engine with what is known of the truth."""
    truth = run.table("metrics/truth.tsv", ["method", *KEYS, "true_volume_ml", "dice_truth"])
    own, others = run.table("metrics/volumes.tsv"), run.table("metrics/engine_volumes.tsv")
    known = pd.DataFrame(columns=[*KEYS, "true_volume_ml", "dice_truth"])
    if truth is not None:
        known = truth.loc[truth["method"] == RAW, known.columns]
    if own is None:
        return pd.DataFrame()
    parts = [own[own["method"] == RAW].merge(known, on=KEYS, how="left")]
    if others is not None:
        others = others[others["method"] == RAW]
        parts.append(others.merge(known.drop(columns="dice_truth"), on=KEYS, how="left"))
    return pd.concat(parts, ignore_index=True)


def _accuracy(volumes: pd.DataFrame, found: pd.DataFrame) -> Panel:
    """Errors and Dice by tissue, and beside them how far RAW's scans, and its rescans, lie apart."""
    tissues, tissue = list(PAPER_TISSUES), found["tissue"].iloc[0]
    header = ["Segmenter", *(f"Error, {name}, mL" for name in tissues), *(f"Dice, {name}" for name in tissues)]
    header += [f"Between scanners, {tissue}, mL", f"Rescans, {tissue}, mL"]
    apart = {(row["engine"], row["rule"]): row for row in found.drop_duplicates(["engine", "rule"]).to_dict("records")}
    rows: list[list[str | Entry]] = []
    for engine, part in volumes.groupby("engine", sort=False):
        dice = part.groupby("tissue")["dice_truth"].mean()
        for ending in volume_rules.ENDINGS:
            if (engine, ending) not in apart:
                continue
            errors = (part[f"volume_ml{ending}"] - part["true_volume_ml"]).abs().groupby(part["tissue"]).mean()
            overlap = [number(dice[name], 3) if ending == volume_rules.RUN else Entry(MISSING) for name in tissues]
            floor = [number(apart[engine, ending][name], 2) for name in ("raw", "rescan")]
            rows.append(
                [name_of(str(engine), ending), *(number(errors[name], 1) for name in tissues), *overlap, *floor]
            )
    return Panel("Each segmenter on RAW", header, rows)
