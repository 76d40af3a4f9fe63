"""Fitting a method, applying it, and checking what it gives: the same for every arm, by hand and in the DAG."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import typing
import zipfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from baselines.interface import Context, Method
from baselines.registry import method
from studies import folds
from studies.commandline import progress
from studies.errors import InputError, NotApplicable, nearest
from studies.files import checksum, read_json, write_json
from studies.images import save_image
from studies.sheet import Scan, Study

MODEL_FILE = "method.json"
DESCRIBED = {"method", "parameters", "seed", "subjects", "scanners", "scale", "files"}
"""What loading needs of `MODEL_FILE`."""


def parse_parameters(method_class: type[Method], settings: Iterable[str]) -> Any:
    """The method's typed parameters from `name=value` texts; raises `InputError` for an unknown name or type."""
    given = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator:
            raise InputError(f"--param {setting}: write it as name=value")
        given[name] = value
    return make_parameters(method_class, given)


def make_parameters(method_class: type[Method], given: dict[str, Any]) -> Any:
    """The method's typed parameters from values or their texts, the rest at their defaults."""
    fields = {field.name: field for field in dataclasses.fields(method_class.Parameters)}
    types = typing.get_type_hints(method_class.Parameters)
    for name in given:
        if name not in fields:
            raise InputError(f"method '{method_class.id}' has no parameter '{name}'{nearest(name, fields)}")
    values = {name: _typed(value, types[name], f"{method_class.id}.{name}") for name, value in given.items()}
    try:
        return method_class.Parameters(**values)
    except ValueError as error:
        raise InputError(f"method '{method_class.id}': {error}") from None


def _typed(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind` (str, int, float, bool, Path, a Literal, or one of these or None)."""
    options = typing.get_args(kind)
    if type(None) in options:
        if value is None or value in ("none", ""):
            return None
        return _typed(value, next(option for option in options if option is not type(None)), where)
    if typing.get_origin(kind) is typing.Literal:
        if value not in options:
            raise InputError(f"{where}: '{value}' is not one of {', '.join(map(str, options))}")
        return value
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise InputError(f"{where}: '{value}' is neither true nor false")
        return str(value).lower() == "true"
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise InputError(f"{where}: '{value}' is not a {kind.__name__}") from None


def fit_method(name: str, study: Study, folder: Path, *, parameters: Any = None, context: Context | None = None) -> str:
    """Fit method `name` on `study` and save it into `folder`, whole or not at all.

    Returns the device that was used.  Raises `NotApplicable` with the method's reason, `InputError` for
    unusable scans.
    """
    arm = method(name)(parameters, context)
    reason = arm.not_applicable(study)
    if reason is None and "paired" in arm.needs and not _is_paired(study):
        reason = "needs subjects who were scanned on at least two scanners, and the sheet has none"
    if reason is not None:
        raise NotApplicable(reason)
    arm.fit(study)
    beside = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    arm.save(beside)
    write_json(
        beside / MODEL_FILE,
        {
            "method": name,
            "control": arm.control,
            "parameters": {key: _plain(value) for key, value in arm.describe_parameters().items()},
            "seed": arm.context.seed,
            "subjects": study.subjects,
            "scanners": study.scanners,
            "scale": study.scans[0].scale,
            "shape": list(study.shape),
            "numpy": version("numpy"),
            "files": {
                path.relative_to(beside).as_posix(): checksum(path)
                for path in sorted(beside.rglob("*"))
                if path.is_file()
            },
        },
    )
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
    return arm.used_device


def fit_without_fold(
    name: str, study: Study, fold: str, folder: Path, *, parameters: Any = None, context: Context | None = None
) -> str:
    """`fit_method` on everyone but the people of a fold.

    Raises `NotApplicable` for a method that cannot be applied to those people afterwards.
    """
    if not method(name).unseen_subjects:
        raise NotApplicable("it cannot be applied to people it was not fitted on, as held-out evaluation asks")
    try:
        return fit_method(name, folds.training(study, fold), folder, parameters=parameters, context=context)
    except (InputError, NotApplicable) as error:
        raise type(error)(f"without fold {fold}: {error}") from None


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _is_paired(study: Study) -> bool:
    return any(len(study.of_subject(subject)) > 1 for subject in study.subjects)


def model_scale(folder: Path) -> str:
    """The scale of the scans that the model in `folder`, or the first of its folds' models, was fitted on."""
    first = next(iter(sorted(folder.glob(folds.folder_name("*")))), folder)
    return _description(first)["scale"]


def _description(folder: Path) -> dict[str, Any]:
    path = folder / MODEL_FILE
    if not path.exists():
        raise InputError(f"{folder}: no model there ({MODEL_FILE} is missing); fit one with `python -m baselines fit`")
    description = read_json(path)
    missing = DESCRIBED - set(description) if isinstance(description, dict) else DESCRIBED
    if missing:
        raise InputError(f"{path}: lacks {', '.join(sorted(missing))}; fit the model again")
    return description


def load_method(name: str, folder: Path, context: Context | None = None) -> Method:
    """The method fitted earlier and saved in `folder`, with the seed of that fit.

    Raises `InputError` when the folder holds another method's model or a file that has changed since.
    """
    description = _description(folder)
    if description["method"] != name:
        raise InputError(f"{folder}: holds a model of '{description['method']}', not of '{name}'")
    for file, expected in description["files"].items():
        path = folder / file
        if not path.exists() or checksum(path) != expected:
            raise InputError(f"{path}: missing or changed since the model was saved; fit it again")
    method_class = method(name)
    context = dataclasses.replace(context or Context(), seed=description["seed"])
    arm = method_class(make_parameters(method_class, description["parameters"]), context)
    try:
        arm.load(folder)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        # numpy says ValueError to pickled objects, which would run what their author likes
        raise InputError(f"{folder}: the model cannot be read ({error}); fit it again") from None
    return arm


def apply_method(name: str, folder: Path, study: Study, out: Path, *, context: Context | None = None) -> str:
    """Harmonize every scan of `study` with the model in `folder`; images go to `out`, named after their scans.

    Refuses, before any work, subjects or scanners that the method cannot be applied to.  Returns the
    device that was used.
    """
    description = _description(folder)
    arm = load_method(name, folder, context)
    _check_seen(arm, "scanner", arm.unseen_scanners, study.scanners, description["scanners"])
    _check_seen(arm, "subject", arm.unseen_subjects, study.subjects, description["subjects"])
    arm.prepare(study)
    for scan in progress(study.scans, what=f"{name}: harmonize"):
        harmonized = arm.transform(scan)
        check_output(harmonized, scan, name)
        save_image(out / f"{scan.name}_T1w.nii.gz", harmonized, scan.affine)
    return arm.used_device


def apply_by_fold(
    name: str, folder: Path, study: Study, out: Path, training: Path, *, context: Context | None = None
) -> str:
    """Harmonize everyone with the model fitted without them, `folder/fold-<fold>`; images go to `out`.

    `training/fold-<fold>` gets the images of the people that the model was fitted on, of which the arm's
    range of intensities is taken; a method that learns nothing from a study gives the same images in every
    fold, so that it needs none.  Raises `InputError` for a model that has seen people of its fold.  Returns
    the devices used.
    """
    devices = []
    for fold, people in folds.by_fold(study):
        model = folder / folds.folder_name(fold)
        seen = [subject for subject in people.subjects if subject in _description(model)["subjects"]]
        if seen:
            raise InputError(f"{model}: was fitted on {', '.join(seen)} of fold {fold}; fit it again without that fold")
        devices.append(apply_method(name, model, people, out, context=context))
        if method(name).fits_on == "study":
            others = folds.training(study, fold)
            apply_method(name, model, others, training / folds.folder_name(fold), context=context)
    return ", ".join(dict.fromkeys(devices))


def _check_seen(arm: Method, what: str, applies: bool, asked: list[str], known: list[str]) -> None:
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


def random_generator(context: Context, *names: str) -> np.random.Generator:
    """A generator that depends on the seed and on `names` alone, so that no order of work changes it."""
    digest = hashlib.sha256("/".join((str(context.seed), *names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
