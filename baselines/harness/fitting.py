"""Fitting a method and saving it, whole or not at all: the same for every arm, by hand and in the DAG."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from baselines.harness.registry import image_method
from baselines.harness.saved import MODEL_FILE, write_checksums
from baselines.harness.withheld import Withheld
from baselines.interface import Context, Harmonizer
from core.errors import InputError, NotApplicable, saying_where
from core.files import write_folder_beside, write_json
from core.jobs.ranks import rank, ranks
from core.libraries import check_libraries
from core.study import Study


def fit_method(
    name: str,
    study: Study,
    folder: Path,
    *,
    withheld: Withheld | None = None,
    parameters: Any = None,
    context: Context | None = None,
) -> str:
    """Fit method `name` on `study`, but for what is `withheld`, and save it into `folder`, whole or not at all.

    A process beside the first of several (`core.jobs.ranks`) saves nothing.
    Returns the device that was used. Raises `NotApplicable` with the method's reason, `InputError` for
    unusable scans, or a library that isn't installed.
    """
    chosen = image_method(name)
    arm = chosen(parameters, context)
    with (withheld or Withheld()).training(arm, study) as seen:
        check_applicable(arm, seen)
        with saying_where(f"in {name}.fit, {len(seen.scans)} scans"):
            arm.fit(seen)
        if rank() > 0:
            return arm.used_device
        with write_folder_beside(folder) as unfinished:
            with saying_where(f"in {name}.save"):
                arm.save(unfinished)
            write_description(arm, seen, unfinished)
    return arm.used_device


def check_processes(arm: Harmonizer, processes: int) -> None:
    """Refuse (`InputError`) to fit a method by less than one process, or by several where it can't be."""
    if processes < 1:
        raise InputError(f"--processes is {processes}; give 1 or more")
    if processes > 1 and ranks() > 1:
        raise InputError(f"--processes: torchrun has started {ranks()} already; leave the option or torchrun out")
    if processes > 1:
        if not arm.trained_together:
            raise InputError(f"--processes: '{arm.id}' can't be fitted by {processes} processes; leave the option out")
        check_libraries(arm.libraries, arm.id)


def check_applicable(arm: Harmonizer, study: Study) -> None:
    """Raise `NotApplicable` with the method's reason, or `InputError` for a library that isn't installed."""
    check_libraries(arm.libraries, arm.id)
    reason = arm.not_applicable(study)
    if reason is None and "paired" in arm.needs and not _is_paired(study):
        reason = "needs subjects who were scanned on at least two scanners, and the sheet has none"
    if reason is None and "T2w" in arm.contrasts:
        reason = _lacks_t2(study)
    if reason is not None:
        raise NotApplicable(reason)


def write_description(arm: Harmonizer, study: Study, folder: Path) -> None:
    """Write beside a method's own files what the model is, and the checksums of all."""
    write_json(
        folder / MODEL_FILE,
        {
            "method": arm.id,
            "control": arm.control,
            "parameters": {key: _plain(value) for key, value in arm.describe_parameters().items()},
            "seed": arm.context.seed,
            "passes": arm.passes,
            "subjects": study.subjects,
            "scanners": study.scanners,
            "scale": study.scans[0].scale,
            "shape": list(study.shape),
            "affine": study.affine.tolist(),
            "numpy": version("numpy"),
        },
    )
    write_checksums(folder)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _lacks_t2(study: Study) -> str | None:
    """Why a study can't teach a method that needs T2-weighted images; None where two scanners have some."""
    has = [scanner for scanner in study.scanners if any(scan.t2 is not None for scan in study.of_scanner(scanner))]
    if len(has) > 1:
        return None
    found = f"only {has[0]} has some" if has else "no scan of the sheet has one"
    return f"needs T2-weighted images of at least two scanners (column t2), and {found}"


def _is_paired(study: Study) -> bool:
    return any(len(study.of_subject(subject)) > 1 for subject in study.subjects)
