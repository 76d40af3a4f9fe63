"""Cells, rows and panels that several tables share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError
from core.names import MISSING, PAPER_TISSUES
from evaluation.measures.interface import Measure
from evaluation.runs.finished_run import FinishedRun
from evaluation.tables.layout import Entry, Panel, pair_name
from evaluation.tables.published import PAPER_SUBJECTS


def summarize(values: pd.DataFrame, measures: dict[str, Measure | None]) -> pd.DataFrame:
    """Mean, SD (ddof 1) and n over subjects of each cell, and whether it is the best of the methods.

    `values` has tissue, method, column, subject and value, one row a subject and cell; NaN values don't
    count. `measures` says for each column by which measure's direction the best is found; None: none is.
    Groups come in the order they first appear; `best` and later `significant` are yes or no.
    """
    keys = ["tissue", "method", "column"]
    groups = values.groupby(keys, sort=False, dropna=False)["value"]
    table = groups.agg(n="count", mean="mean", sd="std").reset_index()
    best = np.zeros(len(table), dtype=bool)
    for (_, column), cells in table.groupby(["tissue", "column"], dropna=False):
        measure, means = measures[str(column)], cells["mean"]
        if measure is not None and means.notna().any():
            best[cells.index] = means == (means.max() if measure.better == "higher" else means.min())
    table["best"] = np.where(best, "yes", "no")
    return table


def entry(cell: Mapping[Any, Any], decimals: int, *, n: str = "") -> Entry:
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


def pair_cells(run: FinishedRun, name: str, column: str, measure: Measure) -> pd.DataFrame:
    """A measure of pairs of scanners, summarized: `summarize`'s columns, `pair` and `significant`."""
    table = run.table(f"metrics/{name}.tsv", ["method", "subject", "scanner_a", "scanner_b", column])
    if table is None or table.empty:
        raise InputError(f"{run.folder / 'metrics' / name}.tsv: no rows; no arm gave results to put in a table")
    pairs = dict.fromkeys(run.pairs)
    values = pd.DataFrame(
        {
            "tissue": table.get("tissue", MISSING),
            "method": table["method"],
            "column": [pair_name(*pair) for pair in zip(table["scanner_a"], table["scanner_b"], strict=True)],
            "subject": table["subject"],
            "value": table[column],
        }
    )
    names = {pair_name(*pair): pair for pair in pairs}
    cells = summarize(values, dict.fromkeys(names, measure))
    cells["pair"] = cells["column"].map(names)
    stars = stars_of(run, measure)
    cells["significant"] = [
        stars.get((cell["tissue"], *cell["pair"], cell["method"]), MISSING) for _, cell in cells.iterrows()
    ]
    return cells


def tests_of(run: FinishedRun, measure: Measure) -> pd.DataFrame:
    """The paired tests of one measure. Raises InputError where the run has none yet."""
    tests = run.table("statistics/paired_tests.tsv", ["measure", "tissue", "method", "significant", "p_holm"])
    if tests is None:
        raise InputError(f"{run.folder / 'statistics/paired_tests.tsv'}: no such file; run `statistics` first")
    return tests[tests["measure"] == measure.name]


def stars_of(run: FinishedRun, measure: Measure) -> dict[tuple[str, str, str, str], str]:
    """What stands for significance, by tissue, scanner a, scanner b and method."""
    tests = tests_of(run, measure).fillna({"tissue": MISSING, "significant": MISSING})
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
    for tissue in PAPER_TISSUES if by_tissue else [MISSING]:
        for arm in run.arms_in(cells):
            row = cells[(cells["tissue"] == tissue) & (cells["method"] == arm)]
            if row.empty:
                continue
            heads = [tissue] if by_tissue else []
            label = run.label(arm)
            rows.append([*heads, label, *row_entries(row, columns, decimals)])
            if paper_decimals is not None and row["paper_mean"].notna().any():
                rows.append([*heads, f"{label}, paper", *paper_entries(row, columns, paper_decimals)])
    heads = ["Tissue", "Method", "n"] if by_tissue else ["Method", "n"]
    return Panel(title, [*heads, *columns], rows)


def paper_entries(row: pd.DataFrame, columns: Sequence[str], decimals: int) -> list[str | Entry]:
    """The paper's own numbers of a row, in the table's columns."""
    there = row[row["paper_mean"].notna()]
    paper = there[["column"]].assign(
        n=PAPER_SUBJECTS, **{name: there[f"paper_{name}"] for name in ("mean", "sd", "best", "significant")}
    )
    return row_entries(paper, columns, decimals)


def pair_data(run: FinishedRun, cells: pd.DataFrame, *, by_tissue: bool) -> pd.DataFrame:
    """A table's data by pair of scanners, the paper's numbers beside them where it has some."""
    data = cells.assign(label=[run.label(arm) for arm in cells["method"]], pair=cells["column"])
    data = in_paper_order(run, data)
    first = ["tissue"] if by_tissue else []
    paper = [name for name in ("paper_mean", "paper_sd", "paper_best", "paper_significant") if name in data]
    return data[[*first, "method", "label", "pair", "n", "mean", "sd", "best", "significant", *paper]]


def in_paper_order(run: FinishedRun, data: pd.DataFrame) -> pd.DataFrame:
    """Rows by tissue and method in the order in which the paper's layout has them."""
    tissues, arms = [*PAPER_TISSUES, MISSING], run.arms_in(data)
    place = pd.DataFrame({"tissue": data["tissue"].map(tissues.index), "method": data["method"].map(arms.index)})
    return data.loc[place.sort_values(["tissue", "method"], kind="stable").index]


def per_subject(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
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
        [tissue, run.label(arm), *row_entries(row, list(columns), decimals)]
        for tissue in PAPER_TISSUES
        for arm in run.arms_in(cells)
        if not (row := cells[(cells["tissue"] == tissue) & (cells["method"] == arm)]).empty
    ]
    return Panel(title, ["Tissue", "Method", "n", *columns.values()], rows)


def method_panel(run: FinishedRun, cells: pd.DataFrame, *, title: str, columns: dict[str, str], decimals: int) -> Panel:
    """Rows of methods by named columns."""
    rows = [
        [run.label(arm), *row_entries(cells[cells["method"] == arm], list(columns), decimals)]
        for arm in run.arms_in(cells)
    ]
    return Panel(title, ["Method", "n", *columns.values()], rows)


def column_data(run: FinishedRun, tables: Sequence[pd.DataFrame], column: str) -> pd.DataFrame:
    """The data of tables one below the other, each a quantity, by what their columns stand for."""
    data = pd.concat(tables, ignore_index=True).rename(columns={"column": column})
    first = list(data["quantity"].unique())
    data["label"] = [run.label(arm) for arm in data["method"]]
    data = in_paper_order(run, data).sort_values("quantity", key=lambda names: names.map(first.index), kind="stable")
    return data[["quantity", "tissue", "method", "label", column, "n", "mean", "sd", "best"]]


def number(value: float, decimals: int, spread: str = "") -> Entry:
    """A finite number as an entry, `-` for any other."""
    return Entry(f"{value:.{decimals}f}", spread) if np.isfinite(value) else Entry(MISSING)


def ends(cell: Mapping[Any, Any], low: str, high: str, decimals: int = 2) -> str:
    """An interval behind a number, from the columns of its ends; nothing where it isn't known."""
    known = np.isfinite([cell[low], cell[high]]).all()
    return f" [{cell[low]:.{decimals}f} {cell[high]:.{decimals}f}]" if known else ""
