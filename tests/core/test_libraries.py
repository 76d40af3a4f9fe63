"""What is refused without a library, and that extras bring what the code says they bring."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from baselines.harness.registry import methods
from core.errors import InputError
from core.libraries import EXTRAS, check_libraries
from studies.sources import source
from tests.support.paths import ROOT
from workflow.source_hash import configured_modules, loaded_files

OPTIONAL = {module for modules in EXTRAS.values() for module in modules}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def distributions(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", line)[0].lower() for line in requirements}


def imported(name: str) -> set[str]:
    """The optional modules that a method's files import, wherever in them."""
    found = set()
    for path in (path for path in loaded_files(*configured_modules(name)) if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found & OPTIONAL


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_the_code_says(extra):
    brought_by = packages_distributions()
    wanted = distributions(PROJECT["optional-dependencies"][extra])
    assert {brought_by[module][0].lower() for module in EXTRAS[extra]} == wanted
    assert not wanted & distributions(PROJECT["dependencies"])


def test_all_is_every_extra():
    assert PROJECT["optional-dependencies"]["all"] == [f"mispel-benchmark[{','.join(sorted(EXTRAS))}]"]
    assert set(PROJECT["optional-dependencies"]) == {*EXTRAS, "all"}


@pytest.mark.parametrize("name", methods())
def test_a_method_names_every_library_that_it_imports(name):
    assert set(methods()[name]().libraries) == imported(name)


def test_the_sentence_says_what_to_install(monkeypatch):
    for module in ("torch", "nipype"):
        monkeypatch.setitem(sys.modules, module, None)
    check_libraries(["numpy"], "it")
    with pytest.raises(InputError) as refused:
        check_libraries(["numpy", "torch"], "methods.x", instead="leave it out")
    told = 'methods.x needs torch, not installed here: pip install "mispel-benchmark[methods]", or leave it out'
    assert str(refused.value) == told
    with pytest.raises(InputError, match=r'torch and nipype and no_such, .*"mispel-benchmark\[methods,fsl\]" no_such$'):
        check_libraries(["torch", "nipype", "no_such"], "it")


@pytest.mark.parametrize(
    ("name", "options", "missing"),
    [
        ("phantom", {}, "nilearn"),
        ("simulate", {}, "ants"),
        ("bids", {}, "bids"),
        ("bids", {}, "ants"),
        ("bids", {"registration": "none", "brain": "stripped"}, "ants"),
        ("bids", {"openneuro": {"id": "ds000001", "version": "1.0.0"}}, "pooch"),
    ],
)
def test_a_source_is_not_planned_without_its_libraries(name, options, missing, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, missing, None)
    given = options if name == "phantom" else options | {"anatomy" if name == "simulate" else "dataset": str(tmp_path)}
    with pytest.raises(InputError, match=rf"study.source: {name} needs {missing}, .*\[scans\]"):
        source(name).plan(given)


def test_what_is_not_asked_for_needs_no_library():
    bids = source("bids")
    given = {"dataset": "x", "registration": "none", "brain": "stripped", "n4": False}
    assert bids.module.libraries(bids.options(given)) == ("bids",)
