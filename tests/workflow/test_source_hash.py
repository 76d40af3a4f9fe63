"""What a rule's code is: exactly the files that its command loads from this project."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from workflow import source_hash as hashing
from workflow.source_hash import FOUND_BY_NAME, ROOT, loaded_files, matching, method_hash, source_hash

PACKAGES = [path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]


def names(*modules: str) -> set[str]:
    return {path.relative_to(hashing.ROOT).as_posix() for path in loaded_files(*modules)}


def forget() -> None:
    """What was read of files that a test has changed."""
    source_hash.cache_clear()
    hashing._loads.cache_clear()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of two packages; returns a function that writes a file of it."""
    monkeypatch.setattr(hashing, "ROOT", tmp_path)

    def write(path: str, text: str = "") -> Path:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        forget()
        return tmp_path / path

    for package in ("house", "house/room", "garden"):
        write(f"{package}/__init__.py")
    write("house/table.py")
    write("house/room/bed.py", "import garden.tree\n")
    write("garden/tree.py")
    write("garden/pond.py")
    yield write
    forget()


@pytest.mark.parametrize("module", ["evaluation.tabels", "no_such_package", "evaluation.measures.none"])
def test_a_module_that_is_not_there_raises(module):
    with pytest.raises(ModuleNotFoundError, match=module):
        source_hash(module)


def test_so_does_one_that_is_imported(project):
    project("house/table.py", "from garden.bench import wood\n")
    with pytest.raises(ModuleNotFoundError, match="garden.bench"):
        source_hash("house.table")


@pytest.mark.parametrize(
    ("line", "loaded"),
    [
        ("from house.room import bed", {"house/room/__init__.py", "house/room/bed.py", "garden/tree.py"}),
        ("from house.room import window", {"house/room/__init__.py"}),
        ("import house.room.bed as b", {"house/room/__init__.py", "house/room/bed.py", "garden/tree.py"}),
        ("from .room import bed", {"house/room/__init__.py", "house/room/bed.py", "garden/tree.py"}),
        ("def f():\n    from garden import pond", {"garden/pond.py"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from garden import pond", set()),
        ("import numpy\nimport os.path", set()),
    ],
)
def test_what_an_import_loads(project, line, loaded):
    project("house/table.py", f"{line}\n")
    inner = {"house/__init__.py", "house/table.py"}
    assert names("house.table") == inner | loaded | ({"garden/__init__.py"} if "garden" in str(loaded) else set())


def test_a_packages_face_is_its_init_and_its_data(project):
    project("house/room/colors.yaml")
    project("house/room/paper/numbers.tsv")
    project("house/room/README.md")
    project("garden/seeds.tsv")
    assert names("house.room") == {
        "house/__init__.py",
        "house/room/__init__.py",
        "house/room/colors.yaml",
        "house/room/paper/numbers.tsv",
    }
    project("house/room/__init__.py", "from garden import pond\n")
    assert {"garden/pond.py", "garden/seeds.tsv"} <= names("house.room")


def test_every_line_of_what_is_loaded_counts_and_no_other(project):
    before = source_hash("house.room.bed")
    for path, changes in {"garden/pond.py": False, "house/table.py": False, "garden/tree.py": True}.items():
        project(path, "# a comment\n")
        assert (source_hash("house.room.bed") != before) is changes, path


def test_whatever_imports_by_name_says_what():
    """`importlib` hides imports from the hash, so that every module that uses it stands in `FOUND_BY_NAME`."""
    hidden = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            if any(ast.unparse(call.func).endswith(("import_module", "__import__")) for call in calls):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                hidden.add(module)
    # a script that measures; no rule runs it
    assert hidden - {"mispel.bench"} == set(FOUND_BY_NAME)
    assert all(matching(pattern) for patterns in FOUND_BY_NAME.values() for pattern in patterns)


def test_every_rules_code_is_that_of_its_command():
    texts = [path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")]
    rules = [rule for text in texts for rule in text.split("\nrule ")[1:]]
    assert len(rules) > 20
    for rule in rules:
        package, verb = re.search(r'"python -m (\w+) ([a-z-]+) ', rule).groups()
        code = rule[rule.index("        code=") :]
        if package == "baselines" and verb in ("fit", "apply"):
            assert re.search(rf'(code_of|method_hash)\(\s*"{verb}"', code), rule
        else:
            assert re.search(rf'verb_hash\(\s*"{package}",\s*"{verb}"', code), rule


def test_an_arm_is_refitted_with_what_it_stands_on():
    """RAVEL's code covers White Stripe and the segmenter that it uses; RAW's covers neither."""
    ravel = names("baselines.ravel")
    assert {"baselines/ravel.py", "baselines/whitestripe.py", "baselines/interface.py"} <= ravel
    assert any(path.endswith("engines/hmrf.py") for path in ravel)
    assert not any(path.endswith(("engines/fsl.py", "engines/gmm.py")) for path in ravel)
    raw = names("baselines.raw")
    assert not any(path.startswith("mispel") or "engines" in path or "whitestripe" in path for path in raw)


def test_what_parameters_name_counts(monkeypatch):
    monkeypatch.setattr(hashing, "verb_hash", lambda package, verb, *modules: set(modules))
    engine = next(form for form in hashing.CONFIGURABLE if "engines" in form).format
    assert method_hash("fit", "whitestripe", {}) == {"baselines.whitestripe"}
    assert method_hash("fit", "ravel", {}) == {"baselines.ravel", engine("hmrf")}
    assert method_hash("fit", "ravel", {"engine": "gmm"}) == {"baselines.ravel", engine("gmm")}
    assert method_hash("fit", "mispel", {"preset": "demo"}) == {"mispel.method"}
    wrapped = method_hash("fit", "shuffle", {"base": "ravel", "settings": "factors=2 engine=gmm"})
    assert wrapped == {"baselines.shuffle", "baselines.ravel", engine("gmm")}


def test_a_method_of_another_distribution_has_its_own_file_and_version(monkeypatch, tmp_path):
    (tmp_path / "their_method.py").write_text("first = 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Entry:
        module = "their_method"
        dist = type("Distribution", (), {"version": "1.0"})

    monkeypatch.setattr(hashing, "entry_points", lambda group, name: [Entry] if name == "theirs" else [])
    before = method_hash("fit", "theirs", {})
    assert before != method_hash("fit", "nobodys", {})
    (tmp_path / "their_method.py").write_text("first = 2\n")
    changed = method_hash("fit", "theirs", {})
    Entry.dist.version = "1.1"
    assert len({before, changed, method_hash("fit", "theirs", {})}) == 3
