"""A fitted method in a folder: what is written beside its own files, and how it is loaded."""

from __future__ import annotations

import dataclasses
import re
import zipfile
from pathlib import Path
from typing import Any

from baselines.harness.parameters import make_parameters
from baselines.harness.registry import method
from baselines.interface import Context, Method
from core import folds
from core.errors import InputError
from core.files import checksum, read_json, write_text
from core.names import Scale

MODEL_FILE = "method.json"

DESCRIBED = {"method", "parameters", "seed", "subjects", "scanners", "scale", "shape", "affine"}
"""What loading and applying need of `MODEL_FILE`."""

CHECKSUMS_FILE = "checksums.sha256"
CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of every file of a model beside them, in the form that `sha256sum --check` reads."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    files = sorted(there - {CHECKSUMS_FILE})
    write_text(folder / CHECKSUMS_FILE, "".join(f"{checksum(folder / file)}  {file}\n" for file in files))


def check_unchanged(folder: Path, *, only: str | None = None) -> None:
    """Refuse a model of which a file, or `only` that one, is missing or has other bytes than when it was saved."""
    path = folder / CHECKSUMS_FILE
    try:
        *lines, last = path.read_bytes().decode().split("\n")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file, so that nothing tells whether the model is whole; fit it again"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: changed since the model was saved ({error}); fit it again") from None
    expected = {found[2]: found[1] for found in map(CHECKSUM_LINE.fullmatch, lines) if found}
    if last or len(expected) != len(lines) or (only is not None and only not in expected):
        raise InputError(f"{path}: changed since the model was saved; fit it again")
    for file in expected if only is None else [only]:
        if not (folder / file).is_file() or checksum(folder / file) != expected[file]:
            raise InputError(f"{folder / file}: missing or changed since the model was saved; fit it again")


def model_scale(folder: Path) -> Scale:
    """The scale of the scans that the model in `folder`, or the first of its folds' models, was fitted on."""
    first = next(iter(sorted(folder.glob(folds.folder_name("*")))), folder)
    return read_description(first)["scale"]


def read_description(folder: Path) -> dict[str, Any]:
    """What a folder's model says of itself. Raises `InputError` where there is none, or a broken or changed one."""
    path = folder / MODEL_FILE
    if not path.exists():
        raise InputError(f"{folder}: no model there ({MODEL_FILE} is missing); fit one with `python -m baselines fit`")
    check_unchanged(folder, only=MODEL_FILE)
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
    check_unchanged(folder)
    method_class = method(name)
    context = dataclasses.replace(context or Context(), seed=description["seed"])
    arm = method_class(make_parameters(method_class, description["parameters"]), context)
    try:
        arm.load(folder)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        # numpy says ValueError to pickled objects, which would run what their author likes
        raise InputError(f"{folder}: the model cannot be read ({error}); fit it again") from None
    return arm
