"""A finished run as a page of Markdown with small pictures, to be kept beside code: what was found, and of what."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Any

import yaml
from PIL import Image

from core.errors import InputError
from core.files import write_beside, write_folder_beside, write_json, write_text
from evaluation.report import content, first_screen
from evaluation.report.templates import template
from evaluation.runs.finished_run import FinishedRun, read_run
from evaluation.runs.provenance import read_provenance

PAGE = "README.md"
FIGURES = (
    "figure_verdict",
    "figure_forest",
    "figure4_slices",
    "figure_residuals",
    "figure_change",
    "figure_edge",
    "figure_mispel_training",
    "figure_summary",
)
"""The figures that a page shows, in this order."""
COLORS = 128
"""Of a picture on the page: two fifths of its bytes. Beside gray slices the badge loses its color, not its word."""
A_PATH = re.compile(r"(?<![\w.:/~-])~?/(?:[^\s/'\"]+/)+")
"""The folders of an absolute path within a text, such as a command line; no address of a page."""

OF_THE_USER = ("config", "inputs", "command")
"""What of a provenance may hold paths on the user's machine."""


def publish(folder: Path | str, out: Path) -> Path:
    """Write a page of a finished run, with its configuration, tables and pictures, into `out`; returns its path.

    A page that is there already is replaced. Raises `InputError` where the run has no report or no verdicts, or
    `out` holds anything but such a page.
    """
    run = read_run(folder)
    verdict = first_screen.first_screen(run)
    if not verdict or not run.files.report.is_file():
        raise InputError(f"{run.folder}: no report with verdicts; finish the run first")
    if out.exists() and not (out / "provenance.json").is_file():
        raise InputError(f"{out}: holds something else than a page of a run; give a folder of its own")
    told = read_provenance(run.folder, "config", "machine.date", "project_version", "git.commit")
    with write_folder_beside(out) as made:
        page = template("page.md.j2").render(
            run=content.overview(run),
            verdict=verdict,
            costs=content.costs(run),
            figures=_pictures(run, made),
            tables=_tables(run, made),
            told=told,
        )
        write_text(made / PAGE, page)
        write_text(made / "configuration.yaml", yaml.safe_dump(without_folders(told["config"]), sort_keys=False))
        shown = {name: value for name, value in told.items() if name not in OF_THE_USER}
        shown["machine"] = {name: value for name, value in told["machine"].items() if name not in OF_THE_USER}
        write_json(made / "provenance.json", shown)
    return out / PAGE


def without_folders(value: Any) -> Any:
    """A configuration with the last part alone of every absolute path, in a command line too."""
    if isinstance(value, dict):
        return {key: without_folders(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_folders(entry) for entry in value]
    if not isinstance(value, str):
        return value
    return PurePath(value).name if PurePath(value).is_absolute() and " " not in value else A_PATH.sub("", value)


def _pictures(run: FinishedRun, out: Path) -> list[dict[str, Any]]:
    """Copies of the figures in fewer colors, with their titles and captions."""
    shown = {figure["id"]: figure for figures in content.figures(run).values() for figure in figures}
    found = [shown[name] for name in FIGURES if name in shown]
    for figure in found:
        with write_beside(out / "figures" / f"{figure['id']}.png") as temporary, Image.open(figure["path"]) as picture:
            picture.convert("RGB").quantize(COLORS).save(temporary, optimize=True)
    return found


def _tables(run: FinishedRun, out: Path) -> list[dict[str, Any]]:
    """Copies of the tables, those that stand on the page with their text, the others with their title alone."""
    found = []
    for path in content.table_files(run):
        text = path.read_text(encoding="utf-8").strip()
        if not text:
            continue
        write_text(out / "tables" / path.name, text + "\n")
        first = path.stem in content.FIRST_TABLES
        found.append(
            {"file": f"tables/{path.name}", "title": text.partition("\n")[0].lstrip("# "), "text": text, "first": first}
        )
    return found
