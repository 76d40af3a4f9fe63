"""A fitted method in a folder: what is written beside its own files, and how it is loaded."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

from baselines.harness.parameters import make_parameters
from baselines.harness.registry import method
from baselines.interface import Context, Method
from core import folds
from core.errors import InputError
from core.files import checksum, read_json
from core.names import Scale

MODEL_FILE = "method.json"

DESCRIBED = {"method", "parameters", "seed", "subjects", "scanners", "scale", "files"}
"""What loading needs of `MODEL_FILE`."""


def model_scale(folder: Path) -> Scale:
    """The scale of the scans that the model in `folder`, or the first of its folds' models, was fitted on."""
    first = next(iter(sorted(folder.glob(folds.folder_name("*")))), folder)
    return read_description(first)["scale"]


def read_description(folder: Path) -> dict[str, Any]:
    """What a folder's model says of itself. Raises InputError where there is none, or a broken one."""
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
    description = read_description(folder)
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
