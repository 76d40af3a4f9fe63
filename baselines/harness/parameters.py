"""A method's typed parameters, from the texts of a command line or the values of a configuration."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from typing import Any

from baselines.interface import Method
from core.errors import InputError, nearest


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
