"""The schema of a configuration: texts taken for the numbers that they say, and the first mistake refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from core.documents import plain, read_document
from core.errors import InputError, nearest

SCHEMA = Path(__file__).resolve().parent / "schemas" / "config.schema.yaml"
LONGEST_MESSAGE = 300


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration as plain values of the types that the schema asks for.

    Snakemake's command line (`--config`) gives texts inside a mapping, and YAML takes 1e-3 for one: where the schema
    wants a number, true, false or null, its text is taken for it. Raises `InputError` naming the key, with the nearest
    known one or the values allowed.
    """
    schema = read_document(SCHEMA)
    # twice: a text may say nan
    typed: dict[str, Any] = plain(_typed(plain(config), schema))
    check_keys(typed, schema)
    return typed


def check_keys(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Refuse what the schema doesn't allow: the first mistake."""
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path)))
    for error in errors:
        where = ".".join(map(str, error.path))
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = next(key for key in error.instance if key not in known)
            key = f"{where}.{unknown}" if where else unknown
            raise InputError(f"configuration: unknown key '{key[:LONGEST_MESSAGE]}'{nearest(unknown[:80], known)}")
        said = error.message
        if error.validator == "pattern":
            said = f"{error.instance[:80]!r} can't be {error.schema['description']}"
        raise InputError(f"configuration: {where or 'the whole'}: {said[:LONGEST_MESSAGE]}; see config/config.yaml")


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value with its texts, and its whole numbers that have a point, as the schema wants them."""
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        others = others if isinstance(others, Mapping) else {}
        return {key: _typed(inner, known.get(key, others)) for key, inner in value.items()}
    if isinstance(value, list) and "items" in schema:
        return [_typed(inner, schema["items"]) for inner in value]
    if isinstance(value, str) and schema:  # where it says nothing, a source or a method types its own
        return next((read for read in _readings(value) if Draft202012Validator(schema).is_valid(read)), value)
    if isinstance(value, float) and value.is_integer() and schema.get("type") == "integer":
        return int(value)
    return value


def _readings(text: str) -> Iterator[Any]:
    """What a text may stand for, null first, since the command line has no other way to say it; then itself."""
    if text.lower() in ("none", "null"):
        yield None
    yield text
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            yield kind(text)
    if text.lower() in ("true", "false"):
        yield text.lower() == "true"
