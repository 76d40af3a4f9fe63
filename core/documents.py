"""YAML and JSON that people write, read as data within limits: never code, never more than a page's worth of work.

The safe loaders build no objects, but YAML's references (`*name`) let a text of a kilobyte stand for more values than
any memory holds, and neither they nor JSON's reader limit depth. So values are counted before they are built.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import InputError
from core.paths import check_is_file

LARGEST_BYTES = 1_000_000
"""A list of ten thousand people takes a tenth of it."""

MOST_VALUES = 100_000
"""Of a document, each reference counted as what it stands for."""

DEEPEST = 50
"""Mappings and lists in one another; a configuration has five."""

LARGEST_NUMBER = 2**63
"""Larger whole numbers are neither a count nor a seed, and some libraries take none."""

CODE = ("__use_yte__", "__definitions__", "__variables__")
"""Keys by which Snakemake's template engine, YTE, finds Python to run."""

_TOO_MANY = f"more than {MOST_VALUES} values, references counted as what they stand for; write fewer"
_SHOWN = 80
_ODD_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Control characters but tab and line feed, and halves of characters, which no file can hold."""

# libyaml's, where PyYAML was built with it: the same rules, ten times as fast
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(path: Path | str) -> dict[str, Any]:
    """What a YAML or JSON file holds, a mapping at its top.

    Raises `InputError` for an absent or too large file, what is neither YAML nor JSON or builds objects, a key that
    stands twice, and what `plain` refuses.
    """
    path = Path(path)
    check_is_file(path)
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise InputError(f"{path}: {size} bytes; at most {LARGEST_BYTES} are read: is it the right file?")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content: Any = plain(_from_json(text) if text.lstrip()[:1] == "{" else _from_yaml(text))
        if not isinstance(content, dict):
            raise InputError(f"holds {_kind(content)}; it needs keys and values at its top, such as `run: mine`")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON or YAML ({' '.join(str(error).split())[:300]}); correct it") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return content


def plain(content: Any) -> Any:
    """A copy of `content` of mappings with text for keys, lists, text, finite numbers, true, false and null alone.

    Raises `InputError` naming the key for anything else: NaN and infinity, a date, a control character in a text, a
    key that asks for code to be run, more than `MOST_VALUES` values, or more than `DEEPEST` levels.
    """
    counted = 0

    def copied(value: Any, where: tuple[str, ...]) -> Any:
        nonlocal counted
        counted += 1
        if counted > MOST_VALUES:
            raise InputError(_TOO_MANY)
        if len(where) > DEEPEST:
            raise InputError(f"more than {DEEPEST} levels deep at {_key(where)[:_SHOWN]}; write it flatter")
        if isinstance(value, Mapping):
            return {name: copied(inner, (*where, name)) for name, inner in _named(value, where)}
        if isinstance(value, list | tuple):
            return [copied(inner, (*where, str(number))) for number, inner in enumerate(value, start=1)]
        _check_scalar(value, where)
        return value

    return copied(content, ())


def _named(mapping: Mapping[Any, Any], where: tuple[str, ...]) -> list[tuple[str, Any]]:
    """The mapping's values by their keys as text; a whole number is taken for its digits, as JSON has it."""
    found = []
    for key, value in mapping.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise InputError(f"{_key(where)}: the key {key!r} is {_kind(key)}; put it in quotes")
        name = str(key)
        _check_scalar(name, (*where, name[:_SHOWN]))
        if name in CODE:
            raise InputError(f"{_key((*where, name))}: a configuration holds no code; write the values out")
        found.append((name, value))
    return found


def _check_scalar(value: Any, where: tuple[str, ...]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{_key(where)}: {value}; give a finite number")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LARGEST_NUMBER:
        raise InputError(f"{_key(where)}: a whole number beyond 2^63; give a smaller one")
    if isinstance(value, str):
        if odd := _ODD_CHARACTER.search(value):
            raise InputError(f"{_key(where)}: holds the character {odd[0]!r}, which no name or path has; take it out")
    elif value is not None and not isinstance(value, bool | int | float):
        raise InputError(f"{_key(where)}: {_kind(value)}; put it in quotes")


def _key(where: tuple[str, ...]) -> str:
    return ".".join(where) or "the whole"


def _kind(value: Any) -> str:
    """What a value that is of no use is, in words."""
    kinds = {list: "a list", str: "text", type(None): "nothing", bool: "true or false", float: "a number"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _from_json(text: str) -> Any:
    """JSON, or else YAML that begins as JSON does."""
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except json.JSONDecodeError:
        return _from_yaml(text)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the key '{doubled[:_SHOWN]}' stands twice in one mapping; keep one")
    return found


def _from_yaml(text: str) -> Any:
    """YAML whose tree of nodes was looked at before anything is built of it.

    Levels are counted among the parser's events, since composing the tree calls itself at every level.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise InputError(f"more than {DEEPEST} levels deep{_line(event.start_mark)}; write it flatter")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        _check_tree(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_tree(top: yaml.Node) -> None:
    """Refuse a tree that stands for too many values, holds itself, or names a key of a mapping twice."""
    sizes: dict[int, int | None] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node), 0)
        if known is None:
            raise InputError(f"refers to itself{_line(node.start_mark)}; write it out")
        if known:
            return known
        sizes[id(node)] = None
        counted = 1
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            counted += sum(size(part) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            counted += sum(map(size, node.value))
        if counted > MOST_VALUES:
            raise InputError(_TOO_MANY)
        sizes[id(node)] = counted
        return counted

    size(top)


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                line = _line(key.start_mark)
                raise InputError(f"the key '{key.value[:_SHOWN]}' stands a second time{line}; keep one")
            seen.add(key.value)


def _line(mark: Any) -> str:
    """Where in a file a mark of the parser is, which may know none."""
    return "" if mark is None else f" in line {mark.line + 1}"
