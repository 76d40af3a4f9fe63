"""`make docs`: the pages of docs/, and those that the code knows best, as a site that is read from disk.

Zensical makes the site; this module lays out its pages: the README first, every measure, every method and every key of
the configuration from where each is defined.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from baselines.harness.registry import methods
from core.files import write_text
from evaluation.measures.registry import measures

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "docs"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "results/README.md": "results.md",
}
"""Files from elsewhere that are pages, too."""
SETTINGS = """[project]
site_name = "MISPEL benchmark"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = [
  {{ "Overview" = "index.md" }},
  {{ "The first run" = "first-run.md" }},
  {{ "How to" = [
    {{ "Install" = "install.md" }},
    {{ "My scans, in a sheet or BIDS" = "own-scans.md" }},
    {{ "A new person, an old model" = "new-people.md" }},
    {{ "My method" = "own-methods.md" }},
    {{ "Arms of volumes" = "volume-arms.md" }},
    {{ "Trained arms" = "trained-arms.md" }},
    {{ "Pretrained harmonizers" = "pretrained.md" }},
    {{ "My source of scans" = "own-sources.md" }},
    {{ "Runs, clusters, GPUs" = "runs.md" }},
  ] }},
  {{ "Reading a run" = [
    {{ "The report" = "reading-the-report.md" }},
    {{ "For a paper" = "paper-output.md" }},
    {{ "The verdict" = "verdict.md" }},
    {{ "Every file of the results" = "results.md" }},
    {{ "Every measure" = "measures.md" }},
  ] }},
  {{ "Reference" = [
    {{ "Every key of the configuration" = "configuration.md" }},
    {{ "Every method" = "methods.md" }},
    {{ "The phantom" = "phantom.md" }},
    {{ "The originals" = "originals.md" }},
    {{ "Architecture" = "architecture.md" }},
    {{ "Security" = "security.md" }},
    {{ "Changes" = "changelog.md" }},
    {{ "Contributing" = "contributing.md" }},
  ] }},
{results}]

[project.theme]
# nothing is loaded from elsewhere
font = false
features = ["navigation.sections", "navigation.top", "content.code.copy"]
"""
KEY = re.compile(r"^( *)([A-Za-z_0-9]+):(?: (.*))?$")
LINK = re.compile(r"(\]\()([^)#:]+)([)#])")


def main() -> int:
    """Lay out the pages in `build/docs` and have the site made beside them; zensical's exit status."""
    shutil.rmtree(BUILD, ignore_errors=True)
    lay_out(BUILD)
    program = Path(sys.executable).with_name("zensical")
    status = subprocess.run([program, "build", "--strict", "--config-file", BUILD / "zensical.toml"]).returncode
    print(f"The site is {BUILD / 'site' / 'index.html'}")
    return status


def lay_out(folder: Path) -> None:
    """Write the site's settings into `folder`, and its pages into `folder/pages`."""
    pages = folder / "pages"
    shutil.copytree(ROOT / "docs", pages)
    own = {f"docs/{path.name}": path.name for path in (ROOT / "docs").glob("*.md")}
    for source, name in (PAGES | own).items():
        write_text(pages / name, moved((ROOT / source).read_text(encoding="utf-8"), source))
    write_text(pages / "measures.md", measures_page())
    write_text(pages / "methods.md", methods_page())
    write_text(pages / "configuration.md", configuration_page())
    found = sorted(path.parent.name for path in (ROOT / "docs" / "results").glob("*/README.md"))
    entries = "".join(f'    {{ "{name}" = "results/{name}/README.md" }},\n' for name in found)
    listed = f'  {{ "Results" = [\n{entries}  ] }},\n' if found else ""
    write_text(folder / "zensical.toml", SETTINGS.format(results=listed))


def moved(text: str, source: str) -> str:
    """A page's text with its links to other pages as they lie on the site; a link to any other file is its name."""

    def target(found: re.Match[str]) -> str:
        path = (ROOT / source).parent.joinpath(found[2]).resolve()
        if not path.is_relative_to(ROOT):
            return found[0]
        inside = path.relative_to(ROOT).as_posix()
        if inside in PAGES:
            return f"{found[1]}{PAGES[inside]}{found[3]}"
        return f"{found[1]}{inside.removeprefix('docs/')}{found[3]}" if inside.startswith("docs/") else found[0]

    return LINK.sub(target, text)


def measures_page() -> str:
    """Every measure, from its own file."""
    lines = ["# Every measure", ""]
    for measure in measures().values():
        unit = f", {measure.unit}" if measure.unit else ""
        reference = f" ({measure.reference})" if measure.reference else ""
        lines += [
            f"## {measure.label}{unit}",
            "",
            f"`{measure.name}`: {measure.range_in_words}, {measure.better} is better.",
            "",
            f"{measure.definition}{reference}",
            "",
        ]
    return "\n".join(lines)


def methods_page() -> str:
    """Every method that comes with the project, from its own file."""
    lines = ["# Every method", "", "`python -m baselines list` says the same, with those that you added.", ""]
    for name, method in methods().items():
        about = [method.citation, method.limits, method.cost]
        lines += [f"## {method.label}", "", f"`{name}`", "", *(f"{text}\n" for text in about if text)]
        settings = method().describe_parameters()
        if settings:
            lines += ["| Parameter | Default |", "| --- | --- |"]
            lines += [f"| `{key}` | {f'`{value}`' if value != '' else ''} |" for key, value in settings.items()]
            lines.append("")
    return "\n".join(lines)


def configuration_page() -> str:
    """Every key of the configuration with its default, and what the comment above it says."""
    lines = ["# Every key of the configuration", ""]
    lines += ["Defaults are those of `config/config.yaml`, the demo.", "", "| Key | Default | |", "| --- | --- | --- |"]
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    for key, default, told in keys_of(text):
        shown = f"`{default}`" if default else ""
        lines.append(f"| `{key}` | {shown} | {told.replace('|', '/')} |")
    return "\n".join([*lines, ""])


def keys_of(text: str) -> Iterator[tuple[str, str, str]]:
    """By key of a YAML file in block style (`study.phantom.subjects`) its value and the comment above or behind it."""
    above: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            above.append(line.strip().lstrip("# "))
            continue
        value, _, behind = line.partition(" #")
        found = KEY.match(value.rstrip())
        if found:
            depth = len(found[1])
            path = [*(step for step in path if step[0] < depth), (depth, found[2])]
            yield ".".join(name for _, name in path), found[3] or "", " ".join([*above, behind.strip()]).strip()
        above = []


if __name__ == "__main__":
    sys.exit(main())
