"""A fitted method in a folder: what is written beside its own files, and how it is loaded."""

from __future__ import annotations

import dataclasses
import re
import shlex
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import msgspec

from baselines.harness.parameters import make_parameters
from baselines.harness.registry import image_method
from baselines.interface import Context, Harmonizer, Method
from core import folds
from core.errors import InputError
from core.files import checksum, read_json, write_text
from core.libraries import check_libraries
from core.names import Scale
from core.paths import check_is_file

Chosen = TypeVar("Chosen", bound=Harmonizer)

MODEL_FILE = "method.json"

CHECKSUMS_FILE = "checksums.sha256"
CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
LARGEST_CHECKSUMS_BYTES = 10_000_000

UNREADABLE = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    OverflowError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What loading a file raises that isn't what a fit wrote."""


class Description(TypedDict):
    """What loading and applying need of `MODEL_FILE`."""

    method: str
    parameters: dict[str, Any]
    seed: int
    subjects: list[str]
    scanners: list[str]
    scale: Scale
    shape: list[int]
    affine: list[list[float]]


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of every file of a model beside them, in the form that `sha256sum --check` reads."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    files = sorted(there - {CHECKSUMS_FILE})
    write_text(folder / CHECKSUMS_FILE, "".join(f"{checksum(folder / file)}  {file}\n" for file in files))


def check_unchanged(folder: Path, *, only: str | None = None) -> None:
    """Refuse a model of which a file, or `only` that one, is missing or has other bytes than when it was saved."""
    path = folder / CHECKSUMS_FILE
    if not path.exists():
        raise InputError(f"{path}: no such file, so that nothing tells whether the model is whole; fit it again")
    check_is_file(path)
    changed = InputError(f"{path}: changed since the model was saved; fit it again")
    if path.stat().st_size > LARGEST_CHECKSUMS_BYTES:
        raise changed
    try:
        *lines, last = path.read_bytes().decode().split("\n")
    except UnicodeDecodeError:
        raise changed from None
    expected = {found[2]: found[1] for found in map(CHECKSUM_LINE.fullmatch, lines) if found}
    if last or len(expected) != len(lines) or (only is not None and only not in expected):
        raise changed
    for file in expected if only is None else [only]:
        _check_file(folder, file, expected[file])


def model_scale(folder: Path) -> Scale:
    """The scale of the scans that the model in `folder`, or the first of its folds' models, was fitted on."""
    first = next(iter(sorted(folder.glob(folds.folder_name("*")))), folder)
    return read_description(first)["scale"]


def read_description(folder: Path) -> Description:
    """What a folder's model says of itself. Raises InputError where there is none, or a broken or changed one."""
    path = folder / MODEL_FILE
    if not path.exists():
        raise InputError(f"{folder}: no model there ({MODEL_FILE} is missing); fit one with `python -m baselines fit`")
    check_unchanged(folder, only=MODEL_FILE)
    try:
        return msgspec.convert(read_json(path), Description)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not what a fit writes ({error}); fit the model again") from None


def load_method(
    name: str, folder: Path, context: Context | None = None, *, given: Mapping[str, Any] | None = None
) -> Method:
    """The method of images fitted earlier and saved in `folder`, with the seed of that fit.

    `given` are parameters that the user gives again; those by which the method runs command lines must be among them.
    Raises `InputError` when the folder holds another method's model, one of other parameters than those given, a
    file that has changed since, a command line that wasn't given, or where a library isn't installed.
    """
    arm = make_saved(image_method(name), folder, context, given=given)
    load_into(arm, folder)
    return arm


def make_saved(
    method_class: type[Chosen], folder: Path, context: Context | None = None, *, given: Mapping[str, Any] | None = None
) -> Chosen:
    """The method whose model is in `folder`, with the parameters and seed of its fit, before anything is loaded.

    Raises `InputError` as `load_method` does.
    """
    name = method_class.id
    description = read_description(folder)
    if description["method"] != name:
        raise InputError(f"{folder}: holds a model of '{description['method'][:80]}', not of '{name}'")
    check_unchanged(folder)
    context = dataclasses.replace(context or Context(), seed=description["seed"])
    try:
        parameters = make_parameters(method_class, description["parameters"])
    except InputError as error:
        raise InputError(f"{folder}: fitted by another version ({error}); fit it again") from None
    arm = method_class(parameters, context)
    check_libraries(arm.libraries, name)
    _check_given(arm, given or {}, folder)
    return arm


def load_into(arm: Harmonizer, folder: Path) -> None:
    """Load a method's own files. Raises `InputError` for what a fit didn't write."""
    try:
        arm.load(folder)
    except UNREADABLE as error:
        # numpy says ValueError to pickled objects, which would run what their author likes
        raise InputError(f"{folder}: the model cannot be read ({error!r:.300}); fit it again") from None


def _check_file(folder: Path, file: str, expected: str) -> None:
    """Refuse a file of a model that is missing, changed, outside its folder or no file."""
    path = folder / file
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise InputError(f"{folder / CHECKSUMS_FILE}: names a file outside its folder, {file[:80]!r}; fit it again")
    try:
        check_is_file(path)
        whole = checksum(path) == expected
    except (InputError, OSError):
        whole = False
    if not whole:
        raise InputError(f"{path}: missing or changed since the model was saved; fit it again")


def _check_given(arm: Harmonizer, given: Mapping[str, Any], folder: Path) -> None:
    """Refuse parameters that differ from the model's, and command lines that only the model's folder gives."""
    again = make_parameters(type(arm), given)
    for name in given:
        if getattr(again, name) != getattr(arm.parameters, name):
            raise InputError(
                f"{folder}: was fitted with {name}={getattr(arm.parameters, name)}, not {getattr(again, name)}; "
                "fit it again, or leave it out"
            )
    brought = [line for line in arm.commands if line not in type(arm)(again).commands]
    if brought:
        raise InputError(
            f"{folder}: applying this model would run {shlex.quote(brought[0])}, and a model's folder brings no "
            "command: where it is yours, give its parameters again, as --param name=value"
        )
