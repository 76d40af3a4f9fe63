"""The arms' parts joined into the tables of `RUN/metrics`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import folds
from core.errors import InputError
from core.files import read_json, read_table, write_table
from core.names import SCAN_IDS
from core.run_folder import RunFolder
from core.sheet import TIME
from core.study import Study
from evaluation.arms.follow_ups import TRUE_IDS, true_volumes
from evaluation.arms.parts import (
    ARRAYS,
    ENGINE_COLUMNS,
    FURTHER_ENGINES,
    MEASURES,
    REGION_COLUMNS,
    REGIONS,
    VOLUME_COLUMNS,
    VOLUMES,
    join,
    part_files,
    part_path,
)
from evaluation.measures import registry
from evaluation.measures.interface import FOLLOW_UPS, Measured, rescan_table

IDS = ("method", *SCAN_IDS, "tissue")


ENGINE_TABLE = "engine_volumes"
"""Volumes by further segmentation engines; a run without them has no such table."""


def read_volumes(run: Path, arms: Sequence[str], batches: Sequence[str] | None) -> pd.DataFrame:
    """The arms' volumes from their parts; an empty file holds no rows.

    Without `batches`, all that are there. Raises `InputError` where a row comes twice, as it does
    when parts of an earlier division into batches are left.
    """
    tables = [pd.DataFrame(columns=VOLUME_COLUMNS)]
    for arm in arms:
        tables += [read_table(path) for path in part_files(run, VOLUMES, arm, batches)]
    joined = join(tables)
    refuse_doubles(joined, "volumes", run)
    return joined


def read_engines(
    run: Path, arms: Sequence[str], engines: Sequence[str], batches: Sequence[str] | None
) -> dict[str, pd.DataFrame]:
    """The volumes by further engines, of scans and of rescans; nothing without `engines`."""
    if not engines:
        return {}
    parts = [read_table(path) for arm in arms for path in part_files(run, FURTHER_ENGINES, arm, batches)]
    joined = join([pd.DataFrame(columns=ENGINE_COLUMNS), *parts])
    again = joined["rescan"].astype(bool)
    return {
        ENGINE_TABLE: joined[~again].drop(columns=["session", "rescan", TIME]),
        rescan_table(ENGINE_TABLE): joined[again].drop(columns=["rescan", TIME, "rule", "reach", "dice_truth"]),
    }


def split_volumes(volumes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The volumes of scans, those of rescans, and those of follow-ups."""
    again, later = volumes["rescan"].astype(bool), volumes[TIME].astype(float) > 0
    return {
        "volumes": volumes[~again & ~later].drop(columns=["session", "rescan", TIME]),
        rescan_table("volumes"): volumes[again].drop(columns=["rescan", TIME, "engine", "rule", "reach"]),
        FOLLOW_UPS: volumes[later].drop(columns=["rescan", "engine", "rule", "reach"]),
    }


def read_rows(run: Path, arms: Sequence[str], batches: Sequence[str] | None) -> dict[str, pd.DataFrame]:
    """The tables of the files of `evaluation.measures` with an `of_person`, from the arms' parts."""
    rows: dict[str, list[dict[str, Any]]] = {}
    columns: dict[str, list[str]] = {}
    for module in registry.modules():
        if hasattr(module, "of_person"):
            rows[module.TABLE] = []
            columns[module.TABLE] = ["method", "subject", *getattr(module, "COLUMNS", ())]
    for module in registry.paired():
        name = rescan_table(module.TABLE)
        rows[name] = []
        columns[name] = ["method", "subject", "scanner", "session_a", "session_b"]
    for arm in arms:
        for path in part_files(run, MEASURES, arm, batches):
            for table, found in read_json(path).items():
                rows.setdefault(table, []).extend(found)
    tables = {}
    for name, found in rows.items():
        table = pd.DataFrame(found, columns=None if found else columns[name])
        ids = [column for column in IDS if column in table]
        first = [column for column in columns.get(name, ()) if column in table]
        values = [column for column in dict.fromkeys([*first, *table]) if column not in IDS]
        tables[name] = table[[*ids, *values]].astype(dict.fromkeys(values, float))
        refuse_doubles(tables[name], name, run)
    return tables


def refuse_doubles(joined: pd.DataFrame, name: str, run: Path) -> None:
    """Raise `InputError` where a table of parts names the same scan, or pair, and tissue twice."""
    keys = [column for column in joined.columns if column in IDS]
    doubled = joined[joined.duplicated(keys)]
    if not doubled.empty:
        what = ", ".join(str(doubled.iloc[0][key]) for key in keys)
        raise InputError(f"{run / 'parts'}: {name} holds {what} twice; remove the parts of an earlier run")


def read_arrays(run: Path, module: str, arm: str, batches: Sequence[str] | None) -> dict[tuple[str, str], np.ndarray]:
    """What a file of `evaluation.measures` kept of an arm's scans, by subject and scanner."""
    found = {}
    for path in part_files(run, ARRAYS, arm, batches):
        with np.load(path, allow_pickle=False) as stored:
            for key in stored.files:
                name, subject, scanner = key.split("/")
                if name == module:
                    found[subject, scanner] = stored[key]
    return found


def read_regions(run: Path, arm: str, batches: Sequence[str] | None) -> pd.DataFrame:
    """An arm's volumes by region from its parts, `REGION_COLUMNS`, without follow-ups; no row of an arm that has none.

    An arm of volumes that harmonizes whole tissues has none, so that of `batches` those are read that are there.
    """
    folder = RunFolder(run).parts(arm)
    wanted = None if batches is None else {part_path(folder, REGIONS, batch) for batch in batches}
    files = [path for path in part_files(run, REGIONS, arm, None) if wanted is None or path in wanted]
    joined = join([pd.DataFrame(columns=REGION_COLUMNS), *(read_table(path) for path in files)])
    return joined[joined[TIME].astype(float) == 0].reset_index(drop=True)


def gather(
    run: Path,
    study: Study,
    arms: Sequence[str],
    *,
    volume_arms: Collection[str] = (),
    engines: Sequence[str] = (),
    batches: Sequence[str] | None,
    seed: int,
    resamples: int,
) -> list[Path]:
    """Join the arms' parts into `RUN/metrics/*.tsv`; returns the files written.

    `volume_arms` are those of `arms` that give volumes alone, whose images nothing is measured of; `engines` are the
    segmentation engines beside the run's own.
    `seed` and `resamples` are those of the bootstrap, which the intervals of some tables are from. Where
    people are divided into folds, tables by subject end in the column `fold`.
    Raises `InputError` where no arm has any volume.
    """
    tables: dict[str, pd.DataFrame] = {}
    measured = Measured(
        study=study,
        arms=arms,
        tables=tables,
        arrays=lambda module, arm: {} if arm in volume_arms else read_arrays(run, module, arm, batches),
        regions=lambda arm: read_regions(run, arm, batches),
        seed=seed,
        resamples=resamples,
    )
    with_images = [arm for arm in arms if arm not in volume_arms]
    found = {
        **split_volumes(read_volumes(run, arms, batches)),
        **read_engines(run, with_images, engines, batches),
        **read_rows(run, with_images, batches),
    }
    if found["volumes"].empty:
        raise InputError(
            f"{run}: of no arm were volumes measured, RAW included; {RunFolder(run).root / 'status'} says of each step "
            "how it ended"
        )
    later = found.pop(FOLLOW_UPS)
    if study.follow_ups:
        found[FOLLOW_UPS] = later.merge(true_volumes(study.follow_ups), on=[*TRUE_IDS], how="left")
    tables |= {name: measured.in_order(table) for name, table in found.items()}
    for module in registry.studied():
        tables |= module.of_study(measured)
    fold_of = {scan.subject: folds.fold_of(scan) for scan in study.scans}
    written = []
    for name, table in tables.items():
        if any(fold_of.values()) and "subject" in table:
            table = table.assign(**{folds.COLUMN: table["subject"].map(fold_of)})
        path = RunFolder(run).metric(name)
        write_table(path, table)
        written.append(path)
    return written
