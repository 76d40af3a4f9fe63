"""Which scans stand out in their study, by what was measured of RAW: to be looked at before any result is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.names import RAW
from evaluation.runs.finished_run import FinishedRun

LIMIT = 3.5
"""Of the modified z-score, from which a scan stands out (Iglewicz and Hoaglin 1993)."""

FEWEST = 5
"""People on a scanner, below which none is said to stand out."""

COLUMNS = ["subject", "scanner", "measure", "value", "usual", "z"]


@dataclass(frozen=True)
class Looked:
    """A number a scan: `table` and `column` of RUN/metrics, of one `tissue` where it has tissues.

    `pairs`: the table has pairs of scanners, and a scan's number is the mean over its pairs. `of_person`: people
    differ in it, so that a scan's number is its distance from the mean of the person's scans.
    """

    label: str
    table: str
    column: str
    tissue: str = ""
    pairs: bool = False
    of_person: bool = False


LOOKED = (
    Looked("SSIM with the person's other scans", "ssim", "ssim", pairs=True),
    Looked("Pearson correlation with the person's other scans", "ssim", "pearson", pairs=True),
    Looked("contrast-to-noise", "contrast", "cnr"),
    Looked("roughness", "sharpness", "roughness"),
    *(
        Looked(
            f"{tissue} volume by hard label, mL from the person's mean",
            "volumes",
            "volume_ml_hard",
            tissue,
            False,
            True,
        )
        for tissue in ("GM", "WM", "CSF")
    ),
)


def modified_z(values: np.ndarray) -> np.ndarray:
    """Modified z-scores (N,): 0.6745 times the distance from the median over the median absolute distance.

    NaN everywhere for fewer than `FEWEST` finite values; 0 where more than half are the same.
    """
    known = values[np.isfinite(values)]
    if known.size < FEWEST:
        return np.full(values.shape, np.nan)
    middle = np.median(known)
    spread = np.median(np.abs(known - middle))
    return np.zeros(values.shape) if spread == 0 else 0.6745 * (values - middle) / spread


def outliers(tables: Mapping[str, pd.DataFrame], looked: Sequence[Looked] = LOOKED) -> pd.DataFrame:
    """The scans that stand out among their scanner's, a row a scan and measure: `COLUMNS`, the farthest first.

    `tables` are those of RUN/metrics, by name, with RAW's rows alone; one that isn't there isn't looked at. A scanner
    isn't compared with another, since that scanners differ is what is studied. `usual` is the scanner's median.
    """
    parts = []
    for what in looked:
        table = tables.get(what.table)
        if table is None or what.column not in table:
            continue
        if what.tissue:
            table = table[table["tissue"] == what.tissue]
        numbers = _of_scans(table, what)
        if what.of_person:
            numbers = numbers - numbers.groupby("subject").transform("mean")
        for scanner, values in numbers.groupby("scanner", sort=False):
            z = modified_z(values.to_numpy(dtype=float))
            far = np.abs(np.nan_to_num(z)) > LIMIT
            if not far.any():
                continue
            subjects = values.index.get_level_values("subject")
            found = {"subject": subjects, "scanner": scanner, "measure": what.label, "value": values.to_numpy()}
            parts.append(pd.DataFrame({**found, "usual": float(np.nanmedian(values)), "z": z})[far])
    every = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    return every.sort_values("z", key=np.abs, ascending=False, kind="stable", ignore_index=True)[COLUMNS]


def _of_scans(table: pd.DataFrame, what: Looked) -> pd.Series:
    """A number a scan, by subject and scanner, in the order of the table."""
    if not what.pairs:
        return table.set_index(["subject", "scanner"])[what.column].astype(float)
    sides = [table.rename(columns={side: "scanner"}) for side in ("scanner_a", "scanner_b")]
    both = pd.concat([side[["subject", "scanner", what.column]] for side in sides])
    return both.groupby(["subject", "scanner"], sort=False)[what.column].mean()


def of_run(run: FinishedRun) -> pd.DataFrame | None:
    """The scans of a finished run that stand out, as `outliers` has them; None where RAW wasn't measured."""
    read = {what.table: run.table(f"metrics/{what.table}.tsv") for what in LOOKED}
    tables = {name: table[table["method"] == RAW] for name, table in read.items() if table is not None}
    return outliers(tables) if tables else None


def in_words(found: pd.DataFrame) -> list[str]:
    """A sentence a scan that stands out, with what it stands out by."""
    return [
        f"subject {subject} on {scanner} stands out among that scanner's scans: "
        + "; ".join(
            f"{row['measure']} {row['value']:.3g}, usually {row['usual']:.3g} (z {row['z']:+.1f})"
            for row in part.to_dict("records")
        )
        for (subject, scanner), part in found.groupby(["subject", "scanner"], sort=False)
    ]
