"""Typed options out of what people write: texts of a command line, values of JSON and YAML.

An options class is a frozen dataclass; its annotations say what each field takes, its `__post_init__` refuses
what no annotation can.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from core.errors import InputError, nearest

Options = TypeVar("Options")

NONE = ("none", "null", "")
"""Texts, in any case, that mean None where a field may be None."""

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "array": "a list",
    "object": "a mapping",
}
"""What msgspec's kinds of value are called here."""


def make(kind: type[Options], given: Mapping[str, Any], where: str = "", *, unknown: str = "unknown option") -> Options:
    """An options class of `given` values, the rest at its defaults.

    Parameters
    ----------
    where : what errors name before the option, such as `study.phantom`.
    unknown : what they call a name that the class has no field of.

    Raises
    ------
    InputError
        An unknown name, with the nearest known one; a value of another type; what the class itself refuses.
    """
    known = names(kind)
    for name in given:
        if name not in known:
            raise InputError(f"{where}: {unknown} '{name}'{nearest(name, known)}".removeprefix(": "))
    annotations = typing.get_type_hints(kind)
    values = {
        name: typed(value, annotations[name], f"{where}.{name}".removeprefix(".")) for name, value in given.items()
    }
    try:
        return kind(**values)
    except ValueError as error:
        raise InputError(f"{where}: {error}".removeprefix(": ")) from None


def names(kind: type) -> list[str]:
    """The options that a class has, in order."""
    return [field.name for field in dataclasses.fields(kind)]


def typed(value: Any, kind: Any, where: str) -> Any:
    """`value`, or its text, as the annotation `kind`; raises `InputError` beginning with `where` for what can't be.

    A number is never rounded into a whole one, true is no number, and neither are NaN and infinity.
    """
    allowed = typing.get_args(kind)
    if type(None) in allowed and isinstance(value, str) and value.lower() in NONE:
        return None
    try:
        return _finite(msgspec.convert(value, kind, strict=False, dec_hook=_path), where)
    except msgspec.ValidationError as error:
        if typing.get_origin(kind) is typing.Literal:
            raise InputError(f"{where}: {value!r}{nearest(str(value), map(str, allowed))}") from None
        raise InputError(f"{where}: {value!r}; {_remedy(str(error))}") from None


def _finite(value: Any, where: str) -> Any:
    """The value; refuses NaN and infinity, which their texts would bring too."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: {value}; give a finite number")
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for part in parts:
        _finite(part, where)
    return value


def _path(kind: type, value: Any) -> Path:
    """What msgspec doesn't know by itself."""
    if kind is not Path:
        raise NotImplementedError(f"no option can be a {kind}")
    if not isinstance(value, str | Path):
        raise ValueError("give a path")
    return Path(value)


def _remedy(message: str) -> str:
    """What msgspec's "Expected `array | null`, got `str`" asks for, in a user's words."""
    expected = re.match(r"Expected `(.+?)`( of length \d+)?", message)
    if expected is None:
        return message
    return f"give {' or '.join(KINDS.get(kind, kind) for kind in expected[1].split(' | '))}{expected[2] or ''}"
