"""YAML and JSON that people write: data within limits, or a sentence."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.documents import DEEPEST, LARGEST_BYTES, MOST_VALUES, plain, read_document
from core.errors import InputError

scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f"), max_size=12)
# hypothesis takes texts out of the code, too
names = texts.filter(lambda name: not name.startswith("__"))
documents = st.dictionaries(
    names,
    st.recursive(
        scalars | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=documents)
def test_what_is_plain_reads_back_as_it_was(content, tmp_path):
    path = tmp_path / "document.yaml"
    path.write_text(json.dumps(content))
    assert read_document(path) == plain(content) == content


def bomb(kind: str) -> str:
    """A kilobyte of YAML that stands for more values than a memory holds."""
    forms = {"mappings": "{{x: {0}, y: {0}}}", "lists": "[{0}, {0}]", "merges": "{{<<: [{0}, {0}], k{1}: 1}}"}
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {forms[kind].format(f'*a{n - 1}', n)}" for n in range(1, 40)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb("mappings"), f"more than {MOST_VALUES} values"),
        (bomb("lists"), f"more than {MOST_VALUES} values"),
        (bomb("merges"), f"more than {MOST_VALUES} values"),
        ("a: &a [*a]", "refers to itself in line 1"),
        ("[" * 5000, f"more than {DEEPEST} levels deep in line 1"),
        ('{"a":' * 100_000, "not valid JSON or YAML (maximum recursion depth"),
        ('{"a":' * 60 + "1" + "}" * 60, f"more than {DEEPEST} levels deep"),
        ("x" * (LARGEST_BYTES + 1), f"at most {LARGEST_BYTES} are read"),
        ("run: a\nrun: b", "the key 'run' stands a second time in line 2"),
        ('{"run": "a", "run": "b"}', "the key 'run' stands twice"),
        ("run: !!python/object/apply:os.getcwd []", "not valid JSON or YAML (could not determine a constructor"),
        ("a: {b: [1, .nan]}", "a.b.2: nan; give a finite number"),
        ('{"a": Infinity}', "a: inf; give a finite number"),
        ("a: 2020-01-01", "a: a date; put it in quotes"),
        ("{yes: 1}", "the key True is true or false; put it in quotes"),
        ('a: "x\\0y"', r"a: holds the character '\x00'"),
        ("a: " + "9" * 5000, "not valid JSON or YAML"),
        ("a: 99999999999999999999", "a whole number beyond 2^63"),
        ("a: {__definitions__: [import os]}", "a.__definitions__: a configuration holds no code"),
        ("- a", "holds a list; it needs keys and values"),
        ("a: b: c", "not valid JSON or YAML"),
    ],
)
def test_refused_with_a_sentence(text, message, tmp_path):
    path = tmp_path / "document.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)) as refused:
        read_document(path)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 600


def test_what_is_no_file_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(InputError, match="a folder; name a file in it"):
        read_document(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"run: \xff\xfe")
    with pytest.raises(InputError, match=r"bytes\.yaml: not valid JSON or YAML"):
        read_document(tmp_path / "bytes.yaml")


def test_references_within_limits_and_nothing_at_all(tmp_path):
    path = tmp_path / "document.yaml"
    path.write_text("base: &b {x: 1}\nmine: {<<: *b, y: [*b, *b]}\n1: one")
    assert read_document(path) == {"base": {"x": 1}, "mine": {"x": 1, "y": [{"x": 1}, {"x": 1}]}, "1": "one"}
    path.write_text("# nothing\n")
    assert read_document(path) == {}
    assert plain({"a": (1, 2.5)}) == {"a": [1, 2.5]}
    with pytest.raises(InputError, match="a: nan"):
        plain({"a": math.nan})
