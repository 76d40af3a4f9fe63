"""The paper's Tables 2 and 3 of a run, with the paper's numbers beside, and tables that it doesn't have.

Each is written as `.tsv` (a row a cell, full numbers), `.md` and `.tex` (the paper's layout).  They are
made from the files in the run's folder alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError
from core.files import read_table, write_table, write_text
from evaluation.arms.parts import TRUTH_COLUMNS
from evaluation.measures import registry
from evaluation.measures.biology import COLUMNS as BIOLOGY_COLUMNS
from evaluation.measures.interface import Measure
from evaluation.measures.reliability import COLUMNS as RELIABILITY_COLUMNS
from evaluation.measures.similarity import SSIM_DEFINITION
from evaluation.measures.volumes import volume_differences
from evaluation.runs.finished_run import FinishedRun, is_yes, read_run
from evaluation.statistics import POWER, SIGNIFICANCE, SOUGHT
from evaluation.summary import COLUMNS as SUMMARY_COLUMNS

TISSUES = ("GM", "WM", "CSF")
"""The order of the paper's Table 3."""

PAPER = Path(__file__).parent / "paper"
PAPER_SUBJECTS = 18
MISSING = "n/a"
RULES = {
    "volume_ml_posterior": "posterior",
    "volume_ml_hard": "hard label",
    "volume_ml_pve_threshold": "partial volume",
    "volume_ml_pve": "partial-volume sum",
}
ASKED = {"removed": "Scanners' differences removed", "kept": "Person kept"}
"""What the summary's measures ask, and its panels' titles."""

SIMULATED = (
    "Simulated: these scans were made by simulated scanners. The table shows how the methods behave on a "
    "calibrated simulation; it is no evidence about real scanners."
)
STAND_IN = "gmm, a Gaussian mixture that stands in for FAST: it knows no neighbours and no bias field"


@dataclass(frozen=True)
class Entry:
    """A cell for people: the mean (bold if best), its SD, a star, and n where it isn't the row's."""

    mean: str
    spread: str = ""
    best: bool = False
    star: bool = False
    n: str = ""


@dataclass(frozen=True)
class Panel:
    """One grid of a table; a row's cells are text or entries."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | Entry]]


@dataclass(frozen=True)
class Table:
    """A table as it is written: `data` for machines, `panels` and `notes` for people."""

    name: str
    title: str
    data: pd.DataFrame
    panels: Sequence[Panel]
    notes: Sequence[str]


def summarize(values: pd.DataFrame, measures: dict[str, Measure | None]) -> pd.DataFrame:
    """Mean, SD (ddof 1) and n over subjects of each cell, and whether it is the best of the methods.

    `values` has tissue, method, column, subject and value, one row a subject and cell; NaN values don't
    count.  `measures` says for each column by which measure's direction the best is found; None: none is.
    Groups come in the order they first appear; `best` and later `significant` are yes or no.
    """
    keys = ["tissue", "method", "column"]
    groups = values.groupby(keys, sort=False, dropna=False)["value"]
    table = groups.agg(n="count", mean="mean", sd="std").reset_index()
    best = np.zeros(len(table), dtype=bool)
    for (_, column), rows in table.groupby(["tissue", "column"], dropna=False).groups.items():
        measure, means = measures[column], table.loc[rows, "mean"]
        if measure is not None and means.notna().any():
            best[rows] = means == (means.max() if measure.better == "higher" else means.min())
    table["best"] = np.where(best, "yes", "no")
    return table


def entry(cell: Mapping[str, Any], decimals: int, *, n: str = "") -> Entry:
    """`mean (SD)` of a cell of `summarize`, or n/a where it has no mean."""
    if not np.isfinite(cell["mean"]):
        return Entry(MISSING)
    spread = f"{cell['sd']:.{decimals}f}" if np.isfinite(cell["sd"]) else MISSING
    return Entry(
        f"{cell['mean']:.{decimals}f}",
        f" ({spread})",
        best=cell["best"] == "yes",
        star=cell.get("significant") == "yes",
        n=n,
    )


def row_entries(cells: pd.DataFrame, columns: Sequence[str], decimals: int) -> list[str | Entry]:
    """The n of a row (its largest) and its entries; one with fewer subjects says how many."""
    by_column = {cell["column"]: cell for cell in cells.to_dict("records")}
    most = max(cell["n"] for cell in by_column.values())
    entries: list[str | Entry] = [str(most)]
    for column in columns:
        cell = by_column.get(column)
        if cell is None:
            entries.append(Entry(MISSING))
        else:
            entries.append(entry(cell, decimals, n="" if cell["n"] == most else f" [n = {cell['n']}]"))
    return entries


# --- the paper's tables -----------------------------------------------------------------------------


def pair_name(scanner_a: str, scanner_b: str) -> str:
    """A pair as the paper writes it."""
    return f"{scanner_a}-{scanner_b}"


def paper_numbers(name: str, better: str) -> pd.DataFrame:
    """The paper's table of that name: tissue (n/a without), method, pair, mean, sd, best, significant."""
    table = read_table(PAPER / f"{name}.tsv").rename(columns={"mean_ml": "mean", "sd_ml": "sd"})
    if "tissue" not in table:
        table["tissue"] = MISSING
    if "significant" not in table:
        table["significant"] = MISSING
    means = table.groupby(["tissue", "pair"])["mean"]
    best = table["mean"] == means.transform("max" if better == "higher" else "min")
    return table.assign(best=np.where(best, "yes", "no"))


def beside_paper(cells: pd.DataFrame, paper: pd.DataFrame, label: Callable[[str], str]) -> pd.DataFrame:
    """Add the paper's mean, SD, best and star where its method and pair have these names.

    A pair is the same in either order, since the paper's measures are symmetric.
    """
    known = {(row["tissue"], row["method"], row["pair"]): row for row in paper.to_dict("records")}

    def find(cell: pd.Series) -> dict:
        turned = pair_name(*reversed(cell["pair"]))
        for pair in (cell["column"], turned):
            found = known.get((cell["tissue"], label(cell["method"]), pair))
            if found is not None:
                return {f"paper_{name}": found[name] for name in ("mean", "sd", "best", "significant")}
        return dict.fromkeys(("paper_mean", "paper_sd", "paper_best", "paper_significant"), np.nan)

    beside = pd.DataFrame([find(cell) for _, cell in cells.iterrows()], index=cells.index)
    return pd.concat([cells, beside], axis=1)


def pair_cells(run: FinishedRun, name: str, column: str, measure: Measure) -> pd.DataFrame:
    """A measure of pairs of scanners, summarized: `summarize`'s columns, `pair` and `significant`."""
    table = run.table(f"metrics/{name}.tsv", ["method", "subject", "scanner_a", "scanner_b", column])
    if table is None or table.empty:
        raise InputError(f"{run.folder / 'metrics' / name}.tsv: no rows; no arm gave results to put in a table")
    pairs = dict.fromkeys(run.pairs)
    values = pd.DataFrame(
        {
            "tissue": table["tissue"] if "tissue" in table else MISSING,
            "method": table["method"],
            "column": [pair_name(*pair) for pair in zip(table["scanner_a"], table["scanner_b"], strict=True)],
            "subject": table["subject"],
            "value": table[column],
        }
    )
    names = {pair_name(*pair): pair for pair in pairs}
    cells = summarize(values, dict.fromkeys(names, measure))
    cells["pair"] = cells["column"].map(names)
    stars = _stars(run, measure)
    cells["significant"] = [
        stars.get((cell["tissue"], *cell["pair"], cell["method"]), MISSING) for _, cell in cells.iterrows()
    ]
    return cells


def _tests(run: FinishedRun, measure: Measure) -> pd.DataFrame:
    tests = run.table("statistics/paired_tests.tsv", ["measure", "tissue", "method", "significant", "p_holm"])
    if tests is None:
        raise InputError(f"{run.folder / 'statistics/paired_tests.tsv'}: no such file; run `statistics` first")
    return tests[tests["measure"] == measure.name]


def _stars(run: FinishedRun, measure: Measure) -> dict[tuple[str, str, str, str], str]:
    tests = _tests(run, measure).fillna({"tissue": MISSING, "significant": MISSING})
    return {
        (row["tissue"], row["scanner_a"], row["scanner_b"], row["method"]): row["significant"]
        for row in tests.to_dict("records")
    }


def pair_panel(
    run: FinishedRun,
    cells: pd.DataFrame,
    *,
    title: str,
    decimals: int,
    paper_decimals: int | None = None,
    by_tissue: bool = False,
) -> Panel:
    """Rows of methods (under each tissue, if any) by columns of pairs; below each, the paper's row."""
    columns = [pair_name(*pair) for pair in run.pairs]
    rows: list[list[str | Entry]] = []
    for tissue in TISSUES if by_tissue else [MISSING]:
        for method in run.methods_in(cells):
            row = cells[(cells["tissue"] == tissue) & (cells["method"] == method)]
            if row.empty:
                continue
            heads = [tissue] if by_tissue else []
            label = run.label(method)
            rows.append([*heads, label, *row_entries(row, columns, decimals)])
            if paper_decimals is not None and row["paper_mean"].notna().any():
                rows.append([*heads, f"{label}, paper", *_paper_entries(row, columns, paper_decimals)])
    heads = ["Tissue", "Method", "n"] if by_tissue else ["Method", "n"]
    return Panel(title, [*heads, *columns], rows)


def _paper_entries(row: pd.DataFrame, columns: Sequence[str], decimals: int) -> list[str | Entry]:
    there = row[row["paper_mean"].notna()]
    paper = there[["column"]].assign(
        n=PAPER_SUBJECTS, **{name: there[f"paper_{name}"] for name in ("mean", "sd", "best", "significant")}
    )
    return row_entries(paper, columns, decimals)


def _pair_data(run: FinishedRun, cells: pd.DataFrame, *, by_tissue: bool) -> pd.DataFrame:
    data = cells.assign(label=[run.label(method) for method in cells["method"]], pair=cells["column"])
    data = in_paper_order(run, data)
    first = ["tissue"] if by_tissue else []
    paper = [name for name in ("paper_mean", "paper_sd", "paper_best", "paper_significant") if name in data]
    return data[[*first, "method", "label", "pair", "n", "mean", "sd", "best", "significant", *paper]]


def in_paper_order(run: FinishedRun, data: pd.DataFrame) -> pd.DataFrame:
    """Rows by tissue and method in the order in which the paper's layout has them."""
    tissues, methods = [*TISSUES, MISSING], run.methods_in(data)
    place = pd.DataFrame({"tissue": data["tissue"].map(tissues.index), "method": data["method"].map(methods.index)})
    return data.loc[place.sort_values(["tissue", "method"], kind="stable").index]


def table2(run: FinishedRun) -> Table:
    """The paper's Table 2: SSIM between scanners."""
    measure = registry.find("ssim")
    cells = beside_paper(
        pair_cells(run, "ssim", "ssim", measure), paper_numbers("table2_ssim", measure.better), run.label
    )
    title = "SSIM between scanners"
    notes = [
        _reading_note(run, measure, "highest"),
        measure.definition,
        "Methods are on scales of their own, to which SSIM isn't blind; table_similarity compares them on one scale.",
        *_paper_note(
            cells, "2", "There all three methods differ significantly from RAW; its SSIM settings aren't published."
        ),
    ]
    panel = pair_panel(run, cells, title=title, decimals=3, paper_decimals=2)
    return Table("table2_ssim", title, _pair_data(run, cells, by_tissue=False), [panel], _all_notes(run, notes))


def table3(run: FinishedRun) -> Table:
    """The paper's Table 3: absolute differences of volumes between scanners."""
    measure = registry.find("volume_difference")
    cells = beside_paper(
        pair_cells(run, "volume_differences", "absolute_difference_ml", measure),
        paper_numbers("table3_volume_differences", measure.better),
        run.label,
    )
    title = "Mean absolute differences of volumes between scanners, mL"
    notes = [
        _reading_note(run, measure, "smallest"),
        _segmentation_note(run),
        *_paper_note(cells, "3", "Its volumes are FAST's."),
    ]
    panel = pair_panel(run, cells, title=title, decimals=2, paper_decimals=2, by_tissue=True)
    data = _pair_data(run, cells, by_tissue=True)
    return Table("table3_volume_differences", title, data, [panel], _all_notes(run, notes))


def table_dice(run: FinishedRun) -> Table:
    """Dice between scanners: the numbers of the paper's Figure 6."""
    measure = registry.find("dice")
    cells = pair_cells(run, "dice", "dice", measure)
    title = "Dice between scanners"
    notes = [_reading_note(run, measure, "highest"), measure.definition, _segmentation_note(run)]
    panel = pair_panel(run, cells, title=title, decimals=3, by_tissue=True)
    return Table("table_dice", title, _pair_data(run, cells, by_tissue=True), [panel], _all_notes(run, notes))


def table_similarity(run: FinishedRun) -> Table:
    """Similarity of scans where methods can be compared: SSIM on RAW's scale, and correlation."""
    panels, data = [], []
    notes = []
    for name in ("ssim_common_scale", "pearson"):
        measure = registry.find(name)
        cells = pair_cells(run, "ssim", name, measure)
        panels.append(pair_panel(run, cells, title=f"{measure.label} between scanners", decimals=3))
        data.append(_pair_data(run, cells, by_tissue=False).assign(measure=name))
        notes += [_reading_note(run, measure, "highest", of=f"{measure.label}: "), measure.definition]
    notes.append(SSIM_DEFINITION)
    table = pd.concat(data, ignore_index=True)
    table = table[["measure", *[column for column in table if column != "measure"]]]
    return Table("table_similarity", "Similarity of scans on one scale", table, panels, _all_notes(run, notes))


# --- volumes by each rule, and against the truth ----------------------------------------------------


def table_volume_rules(run: FinishedRun) -> Table:
    """Volumes, and their differences between scanners, by each rule of what counts as a tissue."""
    volumes = run.table("metrics/volumes.tsv", ["method", "subject", "scanner", "tissue", *RULES])
    if volumes is None or volumes.empty:
        raise InputError(f"{run.folder / 'metrics/volumes.tsv'}: no rows; no arm was segmented")
    differences = [
        volume_differences(volumes.assign(volume_ml=volumes[column]), run.pairs).assign(column=column)
        for column in RULES
    ]
    difference = registry.find("volume_difference")
    quantities = [
        ("volume", "Volume, mL", _per_subject(volumes, list(RULES)), None),
        (
            "volume_difference",
            "Mean absolute difference between scanners, mL",
            _per_subject(pd.concat(differences), ["absolute_difference_ml"]),
            difference,
        ),
    ]
    panels, data = [], []
    for quantity, title, values, measure in quantities:
        cells = summarize(values, dict.fromkeys(RULES, measure))
        panels.append(tissue_panel(run, cells, title=title, columns=RULES, decimals=2))
        data.append(cells.assign(quantity=quantity))
    notes = [
        "Mean (SD) over n subjects of each subject's mean over scanners (above) or pairs of scanners (below); "
        "bold: smallest difference of the methods, for each tissue and rule.",
        _segmentation_note(run),
        "Rules: posterior above the threshold; the most probable class (hard label); partial volume of at least the "
        "threshold; the sum of partial volumes. n/a: the engine estimates no partial volumes.",
    ]
    return Table(
        "table_volume_rules", "Volumes by each rule", _column_data(run, data, "rule"), panels, _all_notes(run, notes)
    )


def table_truth(run: FinishedRun) -> Table | None:
    """How near the arms come to the truth; None for a study whose truth isn't known."""
    truth = run.table("metrics/truth.tsv", TRUTH_COLUMNS)
    if truth is None or truth.empty:
        return None
    truth = truth.assign(absolute_error_ml=truth["volume_error_ml"].abs())
    errors = {
        "true_volume_ml": "true volume",
        "volume_error_ml": "error",
        "volume_error_ml_hard": "error, hard label",
        "volume_error_ml_pve": "error, partial-volume sum",
        "absolute_error_ml": "absolute error",
    }
    measures: dict[str, Measure | None] = dict.fromkeys(errors)
    measures["absolute_error_ml"] = registry.find("volume_error")
    cells = summarize(_per_subject(truth, list(errors)), measures)
    panels = [tissue_panel(run, cells, title="Volumes against the truth, mL", columns=errors, decimals=2)]
    data = [cells.assign(quantity="volume")]

    dice = registry.find("dice_truth")
    cells = summarize(_per_subject(truth, ["dice_truth"]), {"dice_truth": dice})
    data.append(cells.assign(quantity="dice"))
    tissues = {tissue: tissue for tissue in TISSUES}
    across = cells.assign(column=cells["tissue"], tissue=MISSING)
    panels.append(method_panel(run, across, title=dice.label, columns=tissues, decimals=3))

    images = run.table("metrics/truth_similarity.tsv")
    notes = []
    if images is not None and not images.empty:
        names = ["ssim_truth", "ssim_truth_mean", "pearson_truth"]
        likeness = {name: registry.find(name) for name in names}
        cells = summarize(_per_subject(images, names), dict(likeness))
        data.append(cells.assign(quantity="image"))
        labels = {name: measure.label for name, measure in likeness.items()}
        panels.append(method_panel(run, cells, title="Images against the truth", columns=labels, decimals=3))
        notes = [f"{measure.label}: {measure.definition}" for measure in likeness.values()]
    notes = [
        "Mean (SD) over n subjects of each subject's mean over scanners; bold: best of the methods. Error: estimate "
        "minus truth, by the run's rule where none is named; the truth is the sum of the true tissue fractions.",
        _segmentation_note(run),
        *notes,
    ]
    table = _column_data(run, data, "value_of")
    return Table("table_truth", "Nearness to the truth", table, panels, _all_notes(run, notes))


def _per_subject(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Each subject's mean over scanners or pairs of each column, as `summarize` wants it.

    A single value column beside a column `column` keeps that one's names.
    """
    if "column" in table:
        long = table.rename(columns={columns[0]: "value"})
    else:
        there = [column for column in table if column not in columns]
        long = table.melt(id_vars=there, value_vars=list(columns), var_name="column", value_name="value")
    if "tissue" not in long:
        long = long.assign(tissue=MISSING)
    keys = ["tissue", "method", "column", "subject"]
    return long.groupby(keys, sort=False, dropna=False)["value"].mean().reset_index()


def tissue_panel(run: FinishedRun, cells: pd.DataFrame, *, title: str, columns: dict[str, str], decimals: int) -> Panel:
    """Rows of tissues and methods by named columns."""
    rows = [
        [tissue, run.label(method), *row_entries(row, list(columns), decimals)]
        for tissue in TISSUES
        for method in run.methods_in(cells)
        if not (row := cells[(cells["tissue"] == tissue) & (cells["method"] == method)]).empty
    ]
    return Panel(title, ["Tissue", "Method", "n", *columns.values()], rows)


def method_panel(run: FinishedRun, cells: pd.DataFrame, *, title: str, columns: dict[str, str], decimals: int) -> Panel:
    """Rows of methods by named columns."""
    rows = [
        [run.label(method), *row_entries(cells[cells["method"] == method], list(columns), decimals)]
        for method in run.methods_in(cells)
    ]
    return Panel(title, ["Method", "n", *columns.values()], rows)


def _column_data(run: FinishedRun, tables: Sequence[pd.DataFrame], column: str) -> pd.DataFrame:
    data = pd.concat(tables, ignore_index=True).rename(columns={"column": column})
    first = list(data["quantity"].unique())
    data["label"] = [run.label(method) for method in data["method"]]
    data = in_paper_order(run, data).sort_values("quantity", key=lambda names: names.map(first.index), kind="stable")
    return data[["quantity", "tissue", "method", "label", column, "n", "mean", "sd", "best"]]


# --- beyond the paper -------------------------------------------------------------------------------


def table_summary(run: FinishedRun) -> Table | None:
    """Every arm by every measure on the controls' scale, with ranks and values; None for a run without a summary."""
    summary = run.table("statistics/summary.tsv", SUMMARY_COLUMNS)
    if summary is None or summary.empty:
        return None
    panels = [
        *(_summary_panel(run, summary[summary["asks"] == asks], title, "score", 2) for asks, title in ASKED.items()),
        _summary_panel(run, summary[summary["rank"].notna()], "Rank of the arms that aren't controls", "rank", 1),
        _summary_panel(run, summary, "Value", "value", 3, ("ci_low", "ci_high")),
    ]
    ends = summary.drop_duplicates("measure")
    tops = ends.groupby("one_is", sort=False)["measure"].agg(
        lambda names: ", ".join(registry.find(name).label for name in names)
    )
    notes = [
        "Each measure on a scale of its own run. Differences removed: 0 is RAW. Person kept: 0 is nothing, or a guess. "
        "1 is, for each measure: " + "; ".join(f"{words} for {names}" for words, names in tops.items()) + ". "
        "Below 0: worse than RAW, or than nothing. n/a: 1 is no better than 0 here, or isn't known.",
        "[from to]: the middle 95 % of resamples of the people, the same for every arm; the scanner's classifier isn't "
        "trained anew in them. Ranks: 1 is the best; equals share theirs. There is no total: an arm that "
        "removes everything by keeping nothing would win it.",
        *(f"{measure.label}: {measure.definition}" for measure in map(registry.find, ends["measure"])),
    ]
    data = summary.assign(label=[run.label(method) for method in summary["method"]])
    return Table("table_summary", "Summary on the controls' scale", data, panels, _all_notes(run, notes))


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
    for method in run.methods_in(part):
        cells = part[part["method"] == method].set_index("measure")
        row: list[str | Entry] = [run.label(method), str(cells["n"].max())]
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


def table_reliability(run: FinishedRun) -> Table | None:
    """How volumes repeat between scanners; None for a run without these measures."""
    found = run.table("metrics/reliability.tsv", RELIABILITY_COLUMNS)
    if found is None or found.empty:
        return None
    header = ["ICC(A,1)", "Within-person CV, %", "Within-person SD, mL", "Between-person SD, mL"]
    rows: list[list[str | Entry]] = []
    for tissue in TISSUES:
        for method in run.methods_in(found):
            for cell in found[(found["tissue"] == tissue) & (found["method"] == method)].to_dict("records"):
                spread = f" [{cell['icc_low']:.2f} {cell['icc_high']:.2f}]" if np.isfinite(cell["icc_low"]) else ""
                entries = [
                    _number(cell["icc"], 2, spread),
                    _number(cell["within_person_cv"], 2),
                    _number(cell["within_person_sd_ml"], 2),
                    _number(cell["between_person_sd_ml"], 2),
                ]
                rows.append([tissue, run.label(method), str(cell["n"]), *entries])
    title = "How volumes repeat between scanners"
    notes = [
        "n people seen by every scanner. ICC with its 95 % interval (McGraw and Wong 1996). A small within-person SD "
        "is worth nothing where the between-person SD shrinks with it.",
        *(f"{measure.label}: {measure.definition}" for measure in map(registry.find, ("icc", "within_person_cv"))),
        _segmentation_note(run),
    ]
    data = found.assign(label=[run.label(method) for method in found["method"]])
    panel = Panel(title, ["Tissue", "Method", "n", *header], rows)
    return Table("table_reliability", title, data, [panel], _all_notes(run, notes))


def _number(value: float, decimals: int, spread: str = "") -> Entry:
    return Entry(f"{value:.{decimals}f}", spread) if np.isfinite(value) else Entry(MISSING)


def table_biology(run: FinishedRun) -> Table | None:
    """What age and diagnosis explain of the volumes; None for a study without such covariates, or enough people."""
    found = run.table("metrics/biology.tsv", BIOLOGY_COLUMNS)
    if found is None or found.empty:
        return None
    quantities = (("effect", "_ml", 2), ("variance_explained", "", 2), ("sample_size_ratio", "", 2))
    panels = []
    for (covariate, contrast), part in found.groupby(["covariate", "contrast"], sort=False):
        rows: list[list[str | Entry]] = []
        for tissue in TISSUES:
            for method in run.methods_in(part):
                for cell in part[(part["tissue"] == tissue) & (part["method"] == method)].to_dict("records"):
                    entries = []
                    for name, unit, decimals in quantities:
                        ends = [cell[f"{name}_{end}{unit}"] for end in ("low", "high")]
                        spread = f" [{ends[0]:.{decimals}f} {ends[1]:.{decimals}f}]" if np.isfinite(ends).all() else ""
                        entries.append(_number(cell[f"{name}{unit}"], decimals, spread))
                    rows.append([tissue, run.label(method), str(cell["n"]), *entries])
        header = ["Tissue", "Method", "n", f"Effect, mL, {contrast}", "Variance explained", "Sample-size ratio"]
        panels.append(Panel(covariate.capitalize(), header, rows))
    notes = [
        "Straight line of the volumes of all scans on the covariate, as if each person had been scanned on a scanner "
        "drawn at random; covariates one at a time. [from to]: 95 % bootstrap interval over people. With few people "
        "these intervals say more than the numbers.",
        f"Sample-size ratio: {registry.find('sample_size_ratio').definition}",
        _segmentation_note(run),
    ]
    data = found.assign(label=[run.label(method) for method in found["method"]])
    title = "What biology is kept"
    return Table("table_biology", title, data, panels, _all_notes(run, notes))


def table_power(run: FinishedRun) -> Table | None:
    """How many people would show a difference of 10 % from RAW; None for tests without that column."""
    tests = run.table("statistics/paired_tests.tsv")
    if tests is None or "n_for_10_percent" not in tests or tests["n_for_10_percent"].isna().all():
        return None
    tests = tests[tests["n_for_10_percent"].notna()].fillna({"tissue": MISSING})
    rows: list[list[str | Entry]] = []
    data = []
    for (name, tissue), part in tests.groupby(["measure", "tissue"], sort=False):
        for method in run.methods_in(part):
            cell = part[part["method"] == method]
            people = cell["n_for_10_percent"]
            row = {
                "measure": name,
                "tissue": tissue,
                "method": method,
                "label": run.label(method),
                "n": int(cell["n"].max()),
                "pairs": len(cell),
                "pairs_shown": int((people <= cell["n"]).sum()),
                "people_lowest": people.min(),
                "people_median": people.median(),
                "people_highest": people.max(),
            }
            data.append(row)
            label = registry.find(name).label + ("" if tissue == MISSING else f", {tissue}")
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
    return Table("table_power", title, pd.DataFrame(data), [panel], _all_notes(run, notes))


# --- what is printed under a table ------------------------------------------------------------------


def _reading_note(run: FinishedRun, measure: Measure, best: str, of: str = "") -> str:
    tests = _tests(run, measure)
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


def _segmentation_note(run: FinishedRun) -> str:
    volumes = run.table("metrics/volumes.tsv", ["engine", "rule"])
    if volumes is None or volumes.empty:
        return "Nothing was segmented."
    engines = [STAND_IN if engine == "gmm" else str(engine) for engine in volumes["engine"].unique()]
    rules = ", ".join(str(rule).replace("_", " ") for rule in volumes["rule"].unique())
    return (
        f"Segmentation: {', '.join(engines)}; what counts as a tissue: {rules}. Volumes are those in the study's "
        "common space; no Jacobian of a registration enters them."
    )


def _paper_note(cells: pd.DataFrame, number: str, more: str) -> list[str]:
    if cells["paper_mean"].isna().all():
        return []
    return [
        f"Rows 'paper': Eshaghzadeh Torbati et al. 2021, Table {number}, {PAPER_SUBJECTS} subjects on four real "
        f"scanners, as published. {more}"
    ]


def _all_notes(run: FinishedRun, notes: Sequence[str]) -> list[str]:
    return [*([SIMULATED] if run.simulated else []), *notes, *run.notes()]


# --- writing ----------------------------------------------------------------------------------------


def to_markdown(table: Table) -> str:
    """A table as Markdown: a heading, a grid a panel, the notes."""

    def cell(content: str | Entry) -> str:
        if isinstance(content, Entry):
            mean = f"**{content.mean}**" if content.best else content.mean
            star = r"\*" if content.star else ""
            return f"{mean}{content.spread}{star}{content.n}"
        return content.replace("|", r"\|")

    lines = [f"### {table.title}", ""]
    for panel in table.panels:
        if len(table.panels) > 1:
            lines += [f"#### {panel.title}", ""]
        lines.append(f"| {' | '.join(map(cell, panel.header))} |")
        lines.append(f"| {' | '.join(['---'] * len(panel.header))} |")
        lines += [f"| {' | '.join(map(cell, row))} |" for row in panel.rows]
        lines.append("")
    for note in table.notes:
        lines += [note.replace("*", r"\*"), ""]
    return "\n".join(lines)


def to_latex(table: Table) -> str:
    """A table as LaTeX; needs the package booktabs."""

    def cell(content: str | Entry) -> str:
        if isinstance(content, Entry):
            mean = rf"\textbf{{{content.mean}}}" if content.best else content.mean
            return f"{mean}{content.spread}{'$^{*}$' if content.star else ''}{content.n}"
        return latex(content)

    lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex(table.title)}}}"]
    for panel in table.panels:
        if len(table.panels) > 1:
            lines.append(rf"\par\medskip {latex(panel.title)}\par\smallskip")
        texts = "l" * (list(panel.header).index("n"))
        lines.append(rf"\begin{{tabular}}{{{texts}{'r' * (len(panel.header) - len(texts))}}}")
        lines += [r"\toprule", " & ".join(map(cell, panel.header)) + r" \\", r"\midrule"]
        lines += [" & ".join(map(cell, row)) + r" \\" for row in panel.rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [r"\par\medskip\footnotesize", *[latex(note) + r"\par" for note in table.notes], r"\end{table}"]
    return "\n".join(lines) + "\n"


LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "…": r"\ldots{}",
}


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def write(table: Table, folder: Path) -> list[Path]:
    """Write a table's three files; returns their paths."""
    paths = [folder / f"{table.name}.{ending}" for ending in ("tsv", "md", "tex")]
    write_table(paths[0], table.data)
    write_text(paths[1], to_markdown(table))
    write_text(paths[2], to_latex(table))
    return paths


def draw(folder: Path | str) -> list[Path]:
    """Write every table of a finished run into `RUN/tables`; returns what was written.

    Raises `InputError` where the run has no numbers, or no statistics yet.
    """
    run = read_run(folder)
    make = (table2, table3, table_dice, table_similarity, table_volume_rules, table_truth)
    make += (table_summary, table_reliability, table_biology, table_power)
    written: list[Path] = []
    for table in (made(run) for made in make):
        if table is not None:
            simulated = " (simulated)" if run.simulated else ""
            written += write(replace(table, title=table.title + simulated), run.folder / "tables")
    return written
