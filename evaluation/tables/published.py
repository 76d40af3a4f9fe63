"""The paper's own numbers, to stand beside a run's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from core.files import read_table
from core.names import MISSING
from evaluation.tables.layout import pair_name

PAPER = Path(__file__).parent / "paper"
PAPER_SUBJECTS = 18


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
