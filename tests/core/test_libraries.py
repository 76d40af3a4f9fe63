"""What is refused without a library, and that extras bring what the code says they bring."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, files, metadata

import pytest
from packaging.specifiers import SpecifierSet

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


def brought_by(distribution: str) -> set[str]:
    """The first parts of the names of a distribution's files, compiled modules among them."""
    try:
        return {file.parts[0].partition(".")[0] for file in files(distribution) or ()}
    except PackageNotFoundError:
        pytest.skip(f"{distribution} isn't installed")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_the_code_says(extra):
    wanted = distributions(PROJECT["optional-dependencies"][extra])
    brought = [brought_by(distribution) & set(EXTRAS[extra]) for distribution in wanted]
    assert all(brought)
    assert set.union(*brought) == set(EXTRAS[extra])
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
        ("bids", {"registration": "greedy"}, "picsl_greedy"),
        ("bids", {"registration": "greedy"}, "SimpleITK"),
    ],
)
def test_a_source_is_not_planned_without_its_libraries(name, options, missing, monkeypatch, tmp_path):
    for module in EXTRAS["greedy"]:
        # as if it were there, wherever the tests run
        monkeypatch.setitem(sys.modules, module, sys)
    monkeypatch.setitem(sys.modules, missing, None)
    extra = next(extra for extra, modules in EXTRAS.items() if missing in modules)
    given = options if name == "phantom" else options | {"anatomy" if name == "simulate" else "dataset": str(tmp_path)}
    with pytest.raises(InputError, match=rf"study.source: {name} needs {missing}, .*\[{extra}\]"):
        source(name).plan(given)


def test_what_is_not_asked_for_needs_no_library():
    bids = source("bids")
    given = {"dataset": "x", "registration": "none", "brain": "stripped", "n4": False}
    assert bids.module.libraries(bids.options(given)) == ("bids",)


def test_the_lock_is_for_the_lowest_python_that_is_promised():
    """Linux distributions stay with an early one (Debian 12: 3.11.2), which a new release of a library may refuse."""
    lowest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    wanted = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        name = line.partition("==")[0]
        try:
            wanted[line] = metadata(name).get("Requires-Python") or ""
        except PackageNotFoundError:  # an extra's, or for another system
            continue
    assert len(wanted) > 100
    assert [line for line, pythons in wanted.items() if lowest not in SpecifierSet(pythons)] == []
