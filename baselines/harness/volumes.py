"""Methods of volumes fitted, saved and applied: a method for each rule of what counts as a tissue."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from baselines.harness.applying import check_seen, shown_parts
from baselines.harness.fitting import check_applicable, write_description
from baselines.harness.registry import volume_method
from baselines.harness.saved import load_into, make_saved, read_description
from baselines.harness.withheld import Withheld
from baselines.interface import Context, VolumeMethod
from core import folds
from core.errors import Caution, InputError, saying_where
from core.files import write_folder_beside
from core.study import Scan, Study
from core.volume_tables import REGION, by_scan, of_scans, read_volumes, rules_of, whole_tissues

if TYPE_CHECKING:
    import pandas as pd  # methods of images are fitted without it


@dataclass(frozen=True)
class VolumeFiles:
    """Where the volumes of an arm are: those of tissues, and those of tissues in regions; any number of tables."""

    tissues: tuple[Path, ...]
    regions: tuple[Path, ...] = ()

    def read(self, arm: VolumeMethod) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The volumes of tissues, and those that the method harmonizes. Raises `InputError` where there are none."""
        whole = read_volumes(self.tissues, arm.of)
        if arm.parts == "tissues":
            return whole, whole
        if not self.regions:
            raise InputError(f"{arm.id}: parts=regions takes volumes of regions, and none are given; see --regions")
        return whole, read_volumes(self.regions, arm.of)


def fit_volumes(
    name: str,
    study: Study,
    files: VolumeFiles,
    folder: Path,
    *,
    withheld: Withheld | None = None,
    parameters: Any = None,
    context: Context | None = None,
) -> None:
    """Fit method `name` on the volumes of `study`'s scans, but for those `withheld`, and save it into `folder`.

    Whole or not at all. Raises `NotApplicable` with the method's reason, `InputError` for volumes that it can't be
    fitted on.
    """
    made = volume_method(name)
    arm = made(parameters, context)
    with (withheld or Withheld()).training(arm, study) as seen:
        check_applicable(arm, seen)
        _, table = files.read(arm)
        with write_folder_beside(folder) as unfinished:
            for rule in _known(table):
                of_rule = made(parameters, context)
                volumes = of_scans(by_scan(table, rule), (*seen.scans, *seen.follow_ups))
                with saying_where(f"in {name}.fit, volumes by {rule} of {len(seen.scans)} scans"):
                    of_rule.fit(seen, volumes)
                (unfinished / rule).mkdir()
                with saying_where(f"in {name}.save"):
                    of_rule.save(unfinished / rule)
            write_description(arm, seen, unfinished)


class AppliedVolumes(NamedTuple):
    """Harmonized volumes: of tissues, and of tissues in regions where these were harmonized, else None.

    Each holds the rows of all tables given; the column `table` says which a row is from, by its place among them.
    """

    tissues: pd.DataFrame
    regions: pd.DataFrame | None


def apply_volumes(
    name: str,
    folder: Path,
    study: Study,
    files: VolumeFiles,
    *,
    context: Context | None = None,
    given: Mapping[str, Any] | None = None,
) -> AppliedVolumes:
    """The tables of volumes with those of `study`'s scans harmonized by the model in `folder`.

    Scans that the table doesn't hold are left out, and what it says beside the volumes stays. As with images a method
    is shown one visit at a time, and of that one scanner, unless it uses a person's other scans. Raises `InputError`
    for subjects or scanners that it can't be applied to, and for volumes that no method may give.
    """
    import pandas as pd

    arm = make_saved(volume_method(name), folder, context, given=given)
    check_seen(arm, study, read_description(folder))
    whole, table = files.read(arm)
    named = {scan.name for scan in study.every}
    found = whole[whole["scan"].isin(named)].copy()
    there = set(found["scan"])
    regions = table[table["scan"].isin(there)].copy() if arm.parts == "regions" else None
    study = study.where(lambda scan: scan.name in there)
    for rule in _known(table) if there else ():
        if not (folder / rule).is_dir():
            raise InputError(f"{folder}: was fitted on no volumes by {rule}, which the tables have; fit it with them")
        of_rule = type(arm)(arm.parameters, arm.context)
        load_into(of_rule, folder / rule)
        wide = by_scan(table, rule)
        harmonized = {}
        for shown in shown_parts(arm, study):
            volumes = of_scans(wide, shown.scans)
            with saying_where(f"in {name}.prepare, {shown.scans[0].name}"):
                of_rule.prepare(shown, volumes)
            for scan, own in zip(shown.scans, volumes, strict=True):
                with saying_where(f"in {name}.transform, {scan.name}"):
                    harmonized[scan.name] = of_rule.transform(scan, own)
                check_volumes(harmonized[scan.name], own, scan, name)
        parts = pd.DataFrame.from_dict(harmonized, orient="index").set_axis(wide.columns, axis=1)
        tissues = whole_tissues(parts)
        tell_of_negative(tissues, name)
        found[rule] = tissues.stack().loc[list(zip(found["scan"], found["tissue"], strict=True))].to_numpy()
        if regions is not None:
            places = zip(regions["scan"], regions[REGION], regions["tissue"], strict=True)
            regions[rule] = parts.stack([REGION, "tissue"], future_stack=True).loc[list(places)].to_numpy()
    return AppliedVolumes(found.drop(columns="scan"), None if regions is None else regions.drop(columns="scan"))


def apply_volumes_by_fold(
    name: str,
    folder: Path,
    study: Study,
    files: VolumeFiles,
    *,
    context: Context | None = None,
    given: Mapping[str, Any] | None = None,
) -> AppliedVolumes:
    """`apply_volumes` to everyone by the model that was fitted without them, `folder/fold-<fold>`."""
    parts = [
        apply_volumes(name, folder / folds.folder_name(fold), people, files, context=context, given=given)
        for fold, people in folds.by_fold(study)
    ]
    tissues, regions = ([part for part in kind if part is not None] for kind in zip(*parts, strict=True))
    return AppliedVolumes(_joined(tissues), _joined(regions) if regions else None)


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables under each other, empty ones left out, with rows in the order in which they were given."""
    import pandas as pd

    return pd.concat([table for table in tables if not table.empty] or tables[:1]).sort_index()


def _known(table: pd.DataFrame) -> Collection[str]:
    """The rules by which there are volumes: an engine may estimate no partial volumes."""
    return [rule for rule in rules_of(table) if table[rule].notna().any()]


def check_volumes(harmonized: np.ndarray, volumes: np.ndarray, scan: Scan, name: str) -> None:
    """Refuse what no method may give: another number of volumes, or what aren't finite real numbers."""
    where = f"method '{name}', {scan.name}"
    if not isinstance(harmonized, np.ndarray) or harmonized.shape != volumes.shape:
        found = getattr(harmonized, "shape", type(harmonized).__name__)
        raise InputError(f"{where}: gave {found}; transform must return volumes of shape {volumes.shape}")
    if harmonized.dtype.kind not in "fiu":
        raise InputError(f"{where}: gave {harmonized.dtype}; transform must return real numbers, mL")
    if not np.isfinite(harmonized).all():
        raise InputError(f"{where}: gave volumes that are NaN or infinite")


def tell_of_negative(volumes: pd.DataFrame, name: str) -> None:
    """Give a `Caution` where a tissue's volume is below 0: a row a scan, a column a tissue.

    A model that adds and subtracts can give one; it's judged as it is.
    """
    below = (volumes < 0).sum()
    if below.any():
        told = ", ".join(f"{tissue} in {count}" for tissue, count in below.items() if count)
        warnings.warn(Caution(f"{name} gives volumes below 0 ({told} of {len(volumes)} scans)"), stacklevel=2)
