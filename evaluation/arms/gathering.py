"""The arms' parts joined into the tables of `RUN/metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core import folds
from core.errors import InputError
from core.files import read_json, read_table, write_table
from core.study import Study
from evaluation.arms.parts import ARRAYS, FURTHER, IDS, PARTS, TRUTH_COLUMNS, join, part_path
from evaluation.measures import registry
from evaluation.measures.interface import Measured
from evaluation.measures.volumes import rmse_table, volume_differences
from segmentation import TISSUES


def read_parts(run: Path, name: str, methods: Sequence[str], batches: Sequence[str] | None) -> pd.DataFrame:
    """Join an arm's parts `RUN/parts/<method>/<name>-<batch>.tsv`; an empty file holds no rows.

    Without `batches`, all that are there.  Raises `InputError` where a row comes twice, as it does
    when parts of an earlier division into batches are left.
    """
    tables = [pd.DataFrame(columns=PARTS[name])]
    for method in methods:
        tables += [read_table(path) for path in part_files(run, (name, "tsv"), method, batches)]
    joined = join(tables)
    refuse_doubles(joined, name, run)
    return joined


def part_files(run: Path, kind: tuple[str, str], method: str, batches: Sequence[str] | None) -> list[Path]:
    """An arm's parts of a kind that hold anything; without `batches`, all that are there.

    Raises `InputError` where a batch's isn't there.
    """
    folder = run / "parts" / method
    if batches is None:
        files = sorted(folder.glob(part_path(folder, kind, "*").name))
    else:
        files = [part_path(folder, kind, batch) for batch in batches]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: no such part; run the arm's steps for that batch")
    return [path for path in files if path.stat().st_size]


def refuse_doubles(joined: pd.DataFrame, name: str, run: Path) -> None:
    """Raise `InputError` where a table of parts names the same scan, or pair, and tissue twice."""
    keys = [column for column in joined.columns if column in ("method", "subject", "scanner", "scanner_a", "scanner_b")]
    keys += ["tissue"] if "tissue" in joined.columns else []
    doubled = joined[joined.duplicated(keys)]
    if not doubled.empty:
        what = ", ".join(str(doubled.iloc[0][key]) for key in keys)
        raise InputError(f"{run / 'parts'}: {name} holds {what} twice; remove the parts of an earlier run")


def read_further(run: Path, methods: Sequence[str], batches: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """The tables of the files of `evaluation.measures` with an `of_person`, from the arms' parts."""
    rows = {module.TABLE: [] for module in registry.modules() if hasattr(module, "of_person")}
    for method in methods:
        for path in part_files(run, FURTHER, method, batches):
            for table, found in read_json(path).items():
                rows.setdefault(table, []).extend(found)
    tables = {}
    for name, found in rows.items():
        table = pd.DataFrame(found, columns=None if found else ["method", "subject"])
        ids = [column for column in IDS if column in table]
        values = [column for column in table if column not in IDS]
        tables[name] = table[[*ids, *values]].astype(dict.fromkeys(values, float))
        refuse_doubles(tables[name], name, run)
    return tables


def read_arrays(
    run: Path, module: str, method: str, batches: Sequence[str] | None
) -> dict[tuple[str, str], np.ndarray]:
    """What a file of `evaluation.measures` kept of an arm's scans, by subject and scanner."""
    found = {}
    for path in part_files(run, ARRAYS, method, batches):
        with np.load(path, allow_pickle=False) as stored:
            for key in stored.files:
                name, subject, scanner = key.split("/")
                if name == module:
                    found[subject, scanner] = stored[key]
    return found


def in_order(table: pd.DataFrame, study: Study, methods: Sequence[str]) -> pd.DataFrame:
    """Rows by method, subject, scanners and tissue, each in the order of the config and the sheet.

    Rows of subjects or scanners that the sheet doesn't hold are left out.
    """
    orders = {
        "method": list(methods),
        "subject": study.subjects,
        "scanner": study.scanners,
        "scanner_a": study.scanners,
        "scanner_b": study.scanners,
        "tissue": list(TISSUES),
    }
    positions = {
        column: table[column].map({name: position for position, name in enumerate(order)})
        for column, order in orders.items()
        if column in table.columns
    }
    ranks = pd.DataFrame(positions, index=table.index).dropna()
    return table.loc[ranks.sort_values(list(positions), kind="stable").index].reset_index(drop=True)


def gather(
    run: Path, study: Study, methods: Sequence[str], *, batches: Sequence[str] | None, seed: int, resamples: int
) -> list[Path]:
    """Join the arms' parts into `RUN/metrics/*.tsv`; returns the files written.

    `seed` and `resamples` are those of the bootstrap, which the intervals of some tables are from.  Where
    people are divided into folds, tables by subject end in the column `fold`.
    """
    parts = {name: in_order(read_parts(run, name, methods, batches), study, methods) for name in PARTS}
    differences = in_order(volume_differences(parts["volumes"], study.pairs), study, methods)
    tables = {
        "ssim": parts["ssim"],
        "volumes": parts["volumes"],
        "volume_differences": differences,
        "dice": parts["dice"],
        "rmse": in_order(rmse_table(differences, seed=seed, resamples=resamples), study, methods),
        "truth": truth_table(parts["truth"], parts["volumes"]),
        "truth_similarity": parts["truth_similarity"],
    }
    tables |= {name: in_order(table, study, methods) for name, table in read_further(run, methods, batches).items()}
    measured = Measured(
        study=study,
        methods=methods,
        tables=tables,
        arrays=lambda module, method: read_arrays(run, module, method, batches),
        seed=seed,
        resamples=resamples,
    )
    for module in registry.modules():
        if hasattr(module, "of_study"):
            tables |= module.of_study(measured)
    fold_of = {scan.subject: folds.fold_of(scan) for scan in study.scans}
    written = []
    for name, table in tables.items():
        if any(fold_of.values()) and "subject" in table:
            table[folds.COLUMN] = table["subject"].map(fold_of)
        path = run / "metrics" / f"{name}.tsv"
        write_table(path, table)
        written.append(path)
    return written


def truth_table(truth: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """Signed errors of the volumes by each rule (estimate minus truth, mL), beside Dice with the true labels."""
    keys = ["method", "subject", "scanner", "tissue"]
    joined = truth.merge(volumes, on=keys, how="left", validate="one_to_one")
    for ending in ("", "_hard", "_pve"):
        joined[f"volume_error_ml{ending}"] = joined[f"volume_ml{ending}"] - joined["true_volume_ml"]
    return joined[TRUTH_COLUMNS]
