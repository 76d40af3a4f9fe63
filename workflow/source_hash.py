"""A hash of the source that a rule's command loads: Snakemake reruns what a change of code concerns, and no more.

Which files those are is read from the import statements of the code itself, without running it:

- `from package import name` means the module `package.name` where there is one, else the package's face;
- a package's face is its `__init__.py`, which Python runs for any module in it, and the data beside it;
- what a module finds by name is told here (`FOUND_BY_NAME`): a folder of which every run uses all, or what is
  taken where nothing else is asked for; what a configuration asks for, the rule names to `source_hash` itself;
- imports for type checkers alone load nothing.

A module that isn't there raises: the hash of nothing would freeze its rule for ever.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = {".yaml", ".tsv", ".j2", ".css", ".js"}

FOUND_BY_NAME: Mapping[str, tuple[str, ...]] = {
    "segmentation.interface": ("segmentation.engines.hmrf",),
    "evaluation.measures.registry": ("evaluation.measures.*",),
    "evaluation.tables": ("evaluation.tables.table*",),
    "evaluation.figures": ("evaluation.figures.figure*",),
    "baselines.harness.registry": (),
    "core.jobs.command": (),
    "studies.sources": (),
}
"""Modules that import others by name, and which of them count whatever is configured; `*` as in file names."""

CONFIGURABLE = ("baselines.{}", "{}.method", "segmentation.engines.{}")
"""Where that lies which a configuration asks for by name: methods and engines."""


@cache
def source_hash(*modules: str) -> str:
    """A hash of the modules' files and of all that they load from this project; as a rule's parameter it reruns it.

    Raises `ModuleNotFoundError` for a module that isn't there, given or imported.
    """
    digest = hashlib.sha256()
    for path in sorted(loaded_files(*modules)):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def verb_hash(package: str, verb: str, *chosen: str) -> str:
    """A hash of what `python -m package verb` loads, with the `chosen` modules that its configuration names."""
    return source_hash(f"{package}.__main__", f"{package}.commands.{verb.replace('-', '_')}", *chosen)


def method_hash(verb: str, method: str, parameters: Mapping[str, Any]) -> str:
    """A hash of what `python -m baselines verb` loads for a method.

    That is its file, and the methods and engines that its parameters name, as `base` of `shuffle` does; a
    parameter that isn't given has its default, as it stands in that file. Another distribution's method adds
    its own file and the distribution's version.
    """
    own = configured_modules(method)
    if not own:
        return f"{verb_hash('baselines', verb)}-{_hash_elsewhere(method)}"
    defaults = {name: value for module in own for name, value in _defaults(module).items()}
    named = re.findall(r"\w+", " ".join(map(str, (defaults | dict(parameters)).values())))
    return verb_hash("baselines", verb, *own, *(module for name in named for module in configured_modules(name)))


def _hash_elsewhere(method: str) -> str:
    """A hash of the method that another distribution brings under that name; of nothing where none does."""
    from baselines.harness.registry import ENTRY_POINT_GROUP

    digest = hashlib.sha256()
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=method):
        found = find_spec(entry.module)
        digest.update((entry.dist.version if entry.dist else "").encode())
        digest.update(Path(found.origin).read_bytes() if found and found.origin else b"")
    return digest.hexdigest()[:16]


def configured_modules(name: str) -> list[str]:
    """The modules of this project that a configuration may mean by a name: a method's, an engine's, or none."""
    return [module for form in CONFIGURABLE if name.isidentifier() and module_file(module := form.format(name))]


@cache
def _defaults(module: str) -> dict[str, Any]:
    """The constants that a method's file gives its parameters by default, by name."""
    path = module_file(module)
    tree = ast.parse(path.read_text(encoding="utf-8")) if path else ast.Module([], [])
    classes = [node for node in _statements(tree) if isinstance(node, ast.ClassDef) and node.name == "Parameters"]
    lines = [line for found in classes for line in found.body if isinstance(line, ast.AnnAssign)]
    return {
        line.target.id: line.value.value
        for line in lines
        if isinstance(line.target, ast.Name) and isinstance(line.value, ast.Constant)
    }


def loaded_files(*modules: str) -> set[Path]:
    """The files that importing these modules loads from this project, and the data beside them."""
    seen: set[str] = set()
    files: set[Path] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            own, others = _loads(module)
            files.update(own)
            waiting += others
            waiting += (found for pattern in FOUND_BY_NAME.get(module, ()) for found in matching(pattern))
    return files


@cache
def _loads(module: str) -> tuple[frozenset[Path], tuple[str, ...]]:
    """The files that importing a module loads for itself, and the modules that it imports.

    Kept, since a run's many commands share most of their modules.
    """
    path = module_file(module)
    if path is None:
        raise ModuleNotFoundError(f"{module}: no such module in this project; correct its name")
    data = _data_of(path.parent) if path.name == "__init__.py" else ()
    package = module.rpartition(".")[0]
    return frozenset([path, *data]), tuple(dict.fromkeys([*filter(None, [package]), *_imports(module, path)]))


def module_file(module: str) -> Path | None:
    """The file of a module of this project, its `__init__.py` for a package; None where there is none."""
    path = ROOT.joinpath(*module.split("."))
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


def matching(pattern: str) -> list[str]:
    """The modules whose names a pattern such as `package.table*` matches, in the order of their names."""
    package, _, name = pattern.rpartition(".")
    folder = ROOT.joinpath(*package.split("."))
    found = sorted({path.stem for path in (*folder.glob(f"{name}.py"), *folder.glob(name))})
    return [f"{package}.{stem}" for stem in found if stem[0] not in "_." and module_file(f"{package}.{stem}")]


def _data_of(folder: Path) -> Iterator[Path]:
    """The data in a package's folder, and in folders of it that hold no code."""
    for path in folder.iterdir():
        if path.suffix in DATA:
            yield path
        elif path.is_dir() and not (path / "__init__.py").exists():
            yield from (file for file in path.rglob("*") if file.suffix in DATA)


def _imports(module: str, path: Path) -> Iterator[str]:
    """The modules of this project that a file imports, wherever in it."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for level, source, names in _import_statements(path.read_text(encoding="utf-8")):
        if level:
            parents = package.split(".")
            source = ".".join([*parents[: len(parents) - level + 1], *filter(None, [source])])
        if not source:
            yield from filter(_is_ours, names)
        elif _is_ours(source):
            inner = [f"{source}.{name}" for name in names]
            yield from (name if module_file(name) else source for name in inner)


def _import_statements(text: str) -> list[tuple[int, str, list[str]]]:
    """A source's imports: how many dots lead, from where, and what; `import a, b` is from nowhere."""
    found = []
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.append((0, "", [alias.name for alias in node.names]))
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", [alias.name for alias in node.names]))
    return found


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All statements in a tree, or in a statement, but those under `if TYPE_CHECKING`.

    No expression is looked into, which are most of a tree: none holds a statement.
    """
    for part in _PARTS:
        for inner in getattr(node, part, ()):
            if isinstance(inner, ast.If) and ast.unparse(inner.test).endswith("TYPE_CHECKING"):
                for other in inner.orelse:
                    yield other
                    yield from _statements(other)
            else:
                if isinstance(inner, ast.stmt):
                    yield inner
                yield from _statements(inner)


_PARTS = ("body", "handlers", "cases", "orelse", "finalbody")
"""Where a statement holds others; `except` and `case` have a body, too, and are none themselves."""


def _is_ours(module: str) -> bool:
    """Whether a module is one of this project's packages', there or not."""
    top = module.partition(".")[0]
    return bool(top) and (ROOT / top / "__init__.py").is_file()
