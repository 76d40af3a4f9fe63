"""Applying a fitted method to scans, and checking what it gives."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from baselines.harness.registry import image_method
from baselines.harness.saved import Description, load_method, read_description
from baselines.interface import Context, Harmonizer
from core import folds
from core.errors import InputError, saying_where
from core.images import check_grid, save_image
from core.jobs.command import progress
from core.run_folder import image_name
from core.study import Scan, Study


def apply_method(
    name: str,
    folder: Path,
    study: Study,
    out: Path,
    *,
    context: Context | None = None,
    given: Mapping[str, Any] | None = None,
) -> str:
    """Harmonize every scan of `study` with the model in `folder`; images go to `out`, named after their scans.

    A method is shown one visit at a time, and of that one scanner at a time, so that it can't use a person's
    other scans; one that declares that it does (`uses_other_scans`) is shown the whole visit. Rescans and follow-ups
    that it doesn't take are left out. Refuses, before any work, subjects, scanners or a grid that the method cannot be
    applied to. `given` are parameters given again (`baselines.harness.saved.load_method`). Returns the device that
    was used.
    """
    description = read_description(folder)
    arm = load_method(name, folder, context, given=given)
    check_seen(arm, study, description)
    if arm.by_voxel:
        grid = tuple(description["shape"]), np.array(description["affine"])
        for scan in study.every:
            check_grid(scan.opened, *grid, f"the scans that '{name}' was fitted on")
    for shown in shown_parts(arm, study):
        with saying_where(f"in {name}.prepare, {shown.scans[0].name}"):
            arm.prepare(shown)
        for scan in progress(shown.scans, what=f"{name}: harmonize"):
            with saying_where(f"in {name}.transform, {scan.name}"):
                harmonized = arm.transform(scan)
            check_output(harmonized, scan, name)
            save_image(out / image_name(scan.name), harmonized, scan.affine)
    return arm.used_device


def shown_parts(arm: Harmonizer, study: Study) -> Iterator[Study]:
    """What of the study the method is shown at a time."""
    for visit in study.visits():
        taken = visit.where(arm.takes)
        if arm.uses_other_scans:
            yield from [taken] if taken.scans else []
        else:
            for scanner in taken.scanners:
                yield Study(tuple(taken.of_scanner(scanner)))


def apply_by_fold(
    name: str,
    folder: Path,
    study: Study,
    out: Path,
    training: Path,
    *,
    subjects: Collection[str] | None = None,
    context: Context | None = None,
    given: Mapping[str, Any] | None = None,
) -> str:
    """Harmonize everyone, or these `subjects`, with the model fitted without them, `folder/fold-<fold>`, into `out`.

    `training/fold-<fold>` gets the images of the people that the model was fitted on, of which the arm's
    range of intensities is taken; a method that learns nothing from a study gives the same images in every
    fold, so that it needs none. Raises `InputError` for a model that has seen people of its fold. Returns
    the devices used.
    """
    chosen = study if subjects is None else study.select(subjects)
    devices = []
    for fold, people in folds.by_fold(study):
        model = folder / folds.folder_name(fold)
        seen = [subject for subject in people.subjects if subject in read_description(model)["subjects"]]
        if seen:
            raise InputError(f"{model}: was fitted on {', '.join(seen)} of fold {fold}; fit it again without that fold")
        inside, outside = folds.parted(chosen, fold)
        if inside.scans:
            devices.append(apply_method(name, model, inside, out, context=context, given=given))
        if outside.scans and image_method(name).fits_on == "study":
            apply_method(name, model, outside, training / folds.folder_name(fold), context=context, given=given)
    return ", ".join(dict.fromkeys(devices))


def check_seen(arm: Harmonizer, study: Study, description: Description) -> None:
    """Refuse scanners and subjects that weren't in the fit, where the method can't be applied to such.

    And a model that has seen the scanner that the sheet leaves out.
    """
    if study.left_out in description["scanners"] and arm.fits_on == "study":
        raise InputError(
            f"the model of '{arm.id}' was fitted on {study.left_out}, which the sheet leaves out; fit it without"
        )
    scanners = dict.fromkeys([*study.scanners, *(scan.scanner for scan in study.follow_ups)])
    for what, applies, asked, known in (
        ("scanner", arm.unseen_scanners, scanners, description["scanners"]),
        ("subject", arm.unseen_subjects, study.subjects, description["subjects"]),
    ):
        unknown = [item for item in asked if item not in known]
        if unknown and not applies:
            raise InputError(
                f"method '{arm.id}' was not fitted on {what} {', '.join(unknown)}; it knows {', '.join(known)}: "
                f"leave the others out of the sheet, or fit again with them"
            )


def check_output(harmonized: np.ndarray, scan: Scan, name: str) -> None:
    """Refuse what no arm may give: another type or shape, NaN or infinity, a constant, a background that isn't 0.

    Raises `InputError` naming arm, scan and what was found.
    """
    where = f"method '{name}', {scan.name}"
    if not isinstance(harmonized, np.ndarray) or harmonized.dtype != np.float32:
        found = getattr(harmonized, "dtype", type(harmonized).__name__)
        raise InputError(f"{where}: gave {found}; transform must return float32")
    if harmonized.shape != scan.shape:
        raise InputError(f"{where}: gave shape {harmonized.shape}, the scan has {scan.shape}")
    mask = scan.read_mask()
    brain = harmonized[mask]
    broken = int(np.count_nonzero(~np.isfinite(brain)))
    if broken:
        raise InputError(f"{where}: gave {broken} NaN or infinite voxels in the brain")
    if brain.min() == brain.max():
        raise InputError(f"{where}: gave {brain[0]:g} everywhere in the brain")
    if np.any(harmonized[~mask]):
        raise InputError(f"{where}: gave voxels other than 0 outside the mask")
