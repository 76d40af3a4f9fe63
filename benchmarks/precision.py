"""What MISPEL's bfloat16 changes in the tables, beside what a training's seed changes.

    snakemake --cores 2 --configfile config/precision.yaml
    python -m benchmarks.precision results/precision

A row a table's quantity and pair of scanners: the mean over three seeds in float32 and in bfloat16, their
difference, and the standard deviation between seeds (within a precision, pooled). `z` is the difference by
its standard error: means of three seeds that differ by chance alone give about a normal z, so that |z| > 2
in about one row of ten (Student's t with 4 degrees of freedom).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

PRECISIONS = ("float32", "bfloat16")
MEASURES = {
    "SSIM": ("ssim", "ssim", []),
    "volume difference [mL]": ("volume_differences", "absolute_difference_ml", ["tissue"]),
    "Dice": ("dice", "dice", ["tissue"]),
    "RMSE [mL]": ("rmse", "rmse_ml", ["tissue"]),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of the finished run")
    run = parser.parse_args(argv).run
    table = pd.concat([compare(read(run, *where), measure) for measure, where in MEASURES.items()])
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    beyond = int((table["z"].abs() > 2).sum())
    print(f"{beyond} of {len(table)} rows have |z| > 2; median |z| {table['z'].abs().median():.2f}")
    return 0


def read(run: Path, name: str, column: str, further: list[str]) -> pd.DataFrame:
    """Means over subjects: precision, seed, what (scanner pair and tissue), value."""
    table = pd.read_csv(run / "metrics" / f"{name}.tsv", sep="\t", dtype={"subject": str})
    table = table[table["method"].str.contains("_seed")]
    keys = ["scanner_a", "scanner_b", *further]
    means = table.groupby(["method", *keys], sort=False)[column].mean().reset_index(name="value")
    means[["precision", "seed"]] = means["method"].str.split("_seed", expand=True)
    means["what"] = means[keys].agg(" ".join, axis=1)
    return means


def compare(means: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A row each `what`: means by precision, difference, SD between seeds, z."""
    rows = []
    for what, group in means.groupby("what", sort=False):
        values = [group.loc[group["precision"] == precision, "value"].to_numpy() for precision in PRECISIONS]
        between = np.sqrt(np.mean([np.var(value, ddof=1) for value in values]))
        difference = values[1].mean() - values[0].mean()
        error = between * np.sqrt(sum(1 / len(value) for value in values))
        rows.append(
            {
                "measure": measure,
                "what": what,
                **{precision: value.mean() for precision, value in zip(PRECISIONS, values, strict=True)},
                "difference": difference,
                "sd_between_seeds": between,
                "z": difference / error,
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    sys.exit(main())
