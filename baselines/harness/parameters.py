"""A method's typed parameters, from the texts of a command line or the values of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from baselines.interface import Harmonizer
from core import options
from core.errors import InputError


def parse_parameters(method_class: type[Harmonizer], settings: Iterable[str]) -> Any:
    """The method's typed parameters from `name=value` texts; raises `InputError` for an unknown name or type."""
    return make_parameters(method_class, named(settings))


def named(settings: Iterable[str]) -> dict[str, str]:
    """The values of `name=value` texts by their names; raises `InputError` for a text that isn't one."""
    given = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator:
            raise InputError(f"--param {setting}: write it as name=value")
        given[name] = value
    return given


def make_parameters(method_class: type[Harmonizer], given: Mapping[str, Any]) -> Any:
    """The method's typed parameters from values or their texts, the rest at their defaults."""
    return options.make(method_class.Parameters, given, method_class.id, unknown="the method has no parameter")
