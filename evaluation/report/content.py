"""What the report says, as plain values for its template: each function reads one part of a run."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markdown_it import MarkdownIt
from markupsafe import Markup

from core.files import read_json
from core.names import PAPER_TISSUES, RAW, WORST_FIRST
from core.scan_quality import sentences
from evaluation import scan_outliers
from evaluation.measures.registry import measures
from evaluation.runs.arms_table import Arm
from evaluation.runs.finished_run import FinishedRun, is_yes, text
from evaluation.runs.provenance import step_costs
from evaluation.runs.study_card import study_card, voxel_size

STATUS_WORDS = {"ok": "ok", "failed": "failed", "not_applicable": "not applicable"}
TABLE_KINDS = ("tsv", "tex")
FIGURE_KINDS = ("png", "svg")
MOST_DOTS = 20_000
"""Of a figure's, some 0.3 MB of the page; with more a chosen person isn't ringed there."""
TABLE_COLUMNS = ("method", "mean", "significant")
FIRST_TABLES = (
    "table_gains",
    "table_claims",
    "table_rescans",
    "table_summary",
    "table2_ssim",
    "table3_volume_differences",
)


# --- summary ----------------------------------------------------------------------------------------


def overview(run: FinishedRun) -> dict[str, Any]:
    """What was run: name, counts, scanners, voxel size, whether it is simulated, what failed and what to look at."""
    possible = len(run.subjects) * len(run.scanners)
    return {
        "name": run.folder.resolve().name,
        "simulated": run.simulated,
        "subjects": len(run.subjects),
        "scanners": run.scanners,
        "pairs": len(run.pairs),
        "scans": len(run.scans),
        "missing": possible - len(run.scans),
        "voxels": voxel_size(run),
        "methods": [run.label(arm) for arm in run.only("arm").arms],
        "beside": len(run.arms) - len(run.only("arm").arms),
        "seeds": any(about.role == "seed" for about in run.described.values()),
        "rescans": len(run.rescans),
        "setbacks": [
            {"label": run.label(s.arm), "step": s.step, "status": STATUS_WORDS[s.status], "reason": s.reason}
            for s in run.setbacks
        ],
        "lost_scans": _lost_scans(run),
        "remarks": _remarks(run),
        "facts": _facts(run),
    }


def _remarks(run: FinishedRun) -> list[str]:
    """What was told of the scans when they were checked, and which stand out in what was measured of them."""
    told = read_json(run.files.study.remarks) if run.files.study.remarks.is_file() else []
    found = scan_outliers.of_run(run)
    return [*told, *(scan_outliers.in_words(found) if found is not None else [])]


def _lost_scans(run: FinishedRun) -> list[str]:
    """A sentence for each native scan that isn't in the study, or is though it was flagged."""
    quality = run.table("study/quality.tsv", ["subject", "scanner", "status", "flags"])
    return [] if quality is None else sentences(quality, "failed", "left_out", "kept")


def _facts(run: FinishedRun) -> dict[str, str]:
    config = run.provenance.get("config", {})
    card = study_card(run)
    found = {
        "Scans from": card["name"],
        "License of the scans": card["license"],
        "Reference": card["reference"],
        "Protocol": run.protocol,
        "Segmentation": (config.get("segmentation") or {}).get("engine"),
        "Seed": config.get("seed"),
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def headline(run: FinishedRun) -> dict[str, Any]:
    """Each arm's means over all pairs of scanners, computed from the run's tables and metrics.

    `columns` are the measures; `rows` hold a label and cells with the mean, whether it is the best, and
    on how many pairs it is significantly better than RAW; `rule` is what counts as a tissue in them.
    """
    columns = [column for column in _headline_columns(run) if column["means"]]
    rows = []
    for arm in run.arms:
        cells = []
        for column in columns:
            value = column["means"].get(arm)
            shown = None
            if value is not None:
                stars, pairs = column["stars"].get(arm, 0), column["pairs"].get(arm, 0)
                shown = {
                    "value": f"{value:.{column['decimals']}f}",
                    "best": value == column["best"],
                    "stars": f"{stars} of {pairs}" if arm != RAW else "",
                }
            cells.append(shown)
        if any(cells):
            rows.append({"label": run.label(arm), "cells": cells})
    return {"columns": [column["title"] for column in columns], "rows": rows, "rule": run.rule}


def _headline_columns(run: FinishedRun) -> list[dict[str, Any]]:
    columns = [
        _headline_column(
            run.table("tables/table2_ssim.tsv", TABLE_COLUMNS), "SSIM", "highest mean SSIM", "", 3, highest=True
        )
    ]
    differences = run.table("tables/table3_volume_differences.tsv", ["tissue", *TABLE_COLUMNS])
    for tissue in PAPER_TISSUES:
        part = None if differences is None else differences[differences["tissue"] == tissue]
        title, words = f"{tissue} difference, mL", f"smallest mean difference of {tissue} volumes"
        columns.append(_headline_column(part, title, words, " mL", 1, highest=False))
    return [*columns, *(_dice_column(run, tissue) for tissue in PAPER_TISSUES)]


def _headline_column(
    table: pd.DataFrame | None, title: str, words: str, unit: str, decimals: int, *, highest: bool
) -> dict[str, Any]:
    """A measure's mean by arm over the pairs of one of the run's tables (columns method, mean, significant)."""
    column: dict[str, Any] = {"title": title, "words": words, "unit": unit, "decimals": decimals, "means": {}}
    if table is None or table.empty:
        return column
    rows = table[table["mean"].notna()]
    groups = rows.assign(star=is_yes(rows["significant"])).groupby("method", sort=False)
    column["means"] = groups["mean"].mean().to_dict()
    column["stars"] = groups["star"].sum().to_dict()
    column["pairs"] = groups.size().to_dict()
    values = column["means"].values()
    column["best"] = (max if highest else min)(values, default=None)
    return column


def _dice_column(run: FinishedRun, tissue: str) -> dict[str, Any]:
    keys = ["method", "scanner_a", "scanner_b"]
    dice = run.table("metrics/dice.tsv", [*keys, "tissue", "dice"])
    means = None
    if dice is not None:
        means = dice[dice["tissue"] == tissue].groupby(keys, sort=False)["dice"].mean().rename("mean").reset_index()
        tests = run.table("statistics/paired_tests.tsv")
        means["significant"] = "no"
        if tests is not None:
            tests = tests[(tests["measure"] == "dice") & (tests["tissue"] == tissue)]
            means = means.drop(columns="significant").merge(tests[[*keys, "significant"]], on=keys, how="left")
    return _headline_column(means, f"{tissue} Dice", f"highest mean Dice of {tissue}", "", 3, highest=True)


# --- arms -------------------------------------------------------------------------------------------


def arms(run: FinishedRun) -> list[dict[str, str]]:
    """What a person asks of each arm: its label, parameters, how it ended and why, citation, what it cannot do.

    The status is the worst of its steps', its reason what they cautioned of where all ended well.
    """
    set_by_user = run.provenance.get("config", {}).get("methods") or {}
    told = {setback.arm: setback for setback in run.setbacks}
    found = []
    for arm in run.arms:
        rows = run.status[run.status["method"] == arm]
        worst = next((status for status in WORST_FIRST if (rows["status"] == status).any()), "")
        setback = told.get(arm)
        cautions = [f"{row['step']}: {text(row['reason'])}" for row in rows.to_dict("records") if text(row["reason"])]
        about = run.described.get(arm)
        found.append(
            {
                "id": arm,
                "label": run.label(arm),
                "parameters": in_words(set_by_user.get(arm)),
                "status": STATUS_WORDS.get(worst, "not recorded"),
                "reason": f"{setback.step}: {setback.reason}" if setback else "; ".join(cautions),
                "citation": about.citation if about else "",
                "card": card_in_words(about) if about else "",
                "limits": about.limits if about else "",
            }
        )
    return found


def card_in_words(about: Arm) -> str:
    """What a person asks of a method before using it; empty where the run was made before there were cards."""
    if not about.license:
        return ""
    unseen = f"new people: {about.unseen_subjects}, new scanners: {about.unseen_scanners}"
    published = f"published {about.year}; " if about.year else ""
    return (
        f"{published}the original's license: {about.license}; trained on {about.trained_on}; "
        f"needs {about.needs}; {unseen}"
    )


def in_words(parameters: Mapping[str, Any] | None) -> str:
    """What a configuration sets of an arm."""
    return ", ".join(f"{name} {value}" for name, value in (parameters or {}).items() if name != "method")


def started(run: FinishedRun) -> dict[str, str]:
    """When the run was made and by which command, and how long its jobs took together."""
    told = run.provenance.get("machine", {})
    costs = step_costs(Path(run.folder))
    return {
        "date": told.get("date", ""),
        "command": told.get("command", ""),
        "processor": _duration(costs["cpu_s"].sum()) if len(costs) else "",
        "wall": _duration(costs["seconds"].sum()) if len(costs) else "",
        "jobs": str(int(costs["jobs"].sum())),
    }


def _duration(seconds: float) -> str:
    """Seconds as a person says them: 41 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def times(run: FinishedRun) -> dict[str, Any]:
    """Seconds by arm and step, with each arm's sum, greatest memory in MB and devices."""
    steps = list(dict.fromkeys(run.status["step"].dropna()))
    rows = []
    for arm in run.arms:
        part = run.status[run.status["method"] == arm]
        if part.empty:
            continue
        seconds = part.groupby("step")["seconds"].sum()
        rows.append(
            {
                "label": run.label(arm),
                "steps": [f"{seconds[step]:.1f}" if step in seconds else "" for step in steps],
                "total": f"{part['seconds'].sum():.1f}",
                "peak": f"{part['peak_mb'].max():.0f}" if part["peak_mb"].notna().any() else "",
                "device": ", ".join(dict.fromkeys(text(device) for device in part["device"] if text(device))),
            }
        )
    return {"steps": steps, "rows": rows}


def jobs(run: FinishedRun) -> list[dict[str, str]]:
    """Every step's jobs, with their time and memory: `step_costs` in words."""
    return [
        {
            "step": row["step"],
            "arm": run.label(row["arm"]) if row["arm"] else "",
            "jobs": str(row["jobs"]),
            "seconds": f"{row['seconds']:.1f}",
            "processor": f"{row['cpu_s']:.1f}",
            "peak": f"{row['peak_mb']:.0f}",
        }
        for row in step_costs(Path(run.folder)).to_dict("records")
    ]


def costs(run: FinishedRun) -> dict[str, Any]:
    """What each arm's fit and application took, beside its scores of the summary (`measures` are their labels)."""
    summary = run.table("statistics/summary.tsv", ["measure", "method", "score"])
    if summary is None or summary.empty:
        return {"measures": [], "rows": []}
    scores = summary[summary["score"].notna()].set_index(["method", "measure"])["score"]
    names = [name for name in dict.fromkeys(summary["measure"]) if name in scores.index.get_level_values("measure")]
    steps = step_costs(Path(run.folder))
    rows = []
    for arm in run.arms:
        part = run.status[(run.status["method"] == arm) & run.status["step"].isin(["fit", "apply"])]
        if part.empty:
            continue
        seconds = part.groupby("step")["seconds"].sum()
        processor = _processor_seconds(steps, arm)
        rows.append(
            {
                "label": run.label(arm),
                "fit": f"{seconds['fit']:.1f}" if "fit" in seconds else "",
                "apply": f"{seconds['apply']:.1f}" if "apply" in seconds else "",
                "passes": _passes(run, arm),
                "processor": "" if processor is None else f"{processor:.1f}",
                "peak": f"{part['peak_mb'].max():.0f}" if part["peak_mb"].notna().any() else "",
                "device": ", ".join(dict.fromkeys(text(device) for device in part["device"] if text(device))),
                "scores": [f"{scores[arm, name]:.2f}" if (arm, name) in scores.index else "" for name in names],
            }
        )
    return {"measures": [measures()[name].label for name in names], "rows": rows}


def _passes(run: FinishedRun, arm: str) -> str:
    """How often an arm's training saw the data, as its model says, or its folds' models say."""
    found = {read_json(path).get("passes") for path in sorted(run.files.model(arm).rglob("method.json"))} - {None}
    return ", ".join(f"{passes:.3g}" for passes in sorted(found))


def _processor_seconds(steps: pd.DataFrame, arm: str) -> float | None:
    """Processor seconds of an arm's fit and application, its folds' too; None where they were not measured."""
    found = steps[(steps["arm"] == arm) & steps["step"].isin(["fit", "apply"])]
    return None if found.empty else float(found["cpu_s"].sum())


# --- tables and figures -----------------------------------------------------------------------------


def table_files(run: FinishedRun) -> list[Path]:
    """The run's tables `tables/*.md`, the paper's first, the preprocessing's quality last."""
    paths = sorted(run.files.tables.glob("*.md"))
    ranks = {name: rank for rank, name in enumerate(FIRST_TABLES)}
    paths.sort(key=lambda path: ranks.get(path.stem, len(ranks)))
    quality = run.files.study.quality.with_suffix(".md")
    return [*paths, quality] if quality.is_file() else paths


def tables(run: FinishedRun) -> list[dict[str, Any]]:
    """The run's tables as HTML. Rows of the paper's own numbers are marked."""
    found = []
    for path in table_files(run):
        markdown = path.read_text(encoding="utf-8")
        if markdown.strip():
            heading = markdown.lstrip().partition("\n")[0].lstrip("# ")
            found.append(
                {
                    "title": heading.removesuffix(" (simulated)"),
                    "html": table_html(markdown),
                    "files": [download(file) for file in _in_kinds(path, TABLE_KINDS)],
                }
            )
    return found


def _in_kinds(path: Path, kinds: Sequence[str]) -> list[Path]:
    """A table's or a figure's files of some kinds, those that there are."""
    return [file for file in (path.with_suffix(f".{kind}") for kind in kinds) if file.is_file()]


def download(path: Path) -> dict[str, str]:
    """A text file as a link on the page can hold it: `name`, and `uri` with all that is in it."""
    return {"name": path.name, "uri": data_uri(path.read_bytes(), "text/plain;charset=utf-8")}


def data_uri(content: bytes, kind: str) -> str:
    """Bytes of some media type as a URI that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def table_html(markdown: str) -> Markup:
    """Markdown with tables as HTML; any HTML in it is shown as text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    row = None
    for token in tokens:
        if token.type == "tr_open":
            row = token
        elif token.type == "table_open":
            token.attrSet("class", "sortable")
        elif token.type == "inline" and token.content.endswith(", paper") and row is not None:
            row.attrSet("class", "paper")
    html = parser.renderer.render(tokens, parser.options, {})
    # the parser has escaped everything that the file brought
    return Markup(html.replace("<table", '<div class="wide"><table').replace("</table>", "</table></div>"))


def figures(run: FinishedRun) -> dict[str, list[dict[str, Any]]]:
    """Title, caption and picture of every figure that the run has, by topic."""
    found: dict[str, list[dict[str, Any]]] = {}
    for told in sorted(run.files.figures.glob("figure*.json")):
        path = told.with_suffix(".png")
        if path.is_file():
            figure = read_json(told)
            shown = {
                "id": told.stem,
                "title": figure["title"],
                "caption": figure["caption"],
                "path": path,
                "people": _few_dots(figure.get("people", {})),
                "files": [file.relative_to(run.folder).as_posix() for file in _in_kinds(path, FIGURE_KINDS)],
            }
            found.setdefault(figure["topic"], []).append(shown)
    return found


def _few_dots(people: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    """Where people's dots are in a figure, if there are few enough to lie in the page."""
    return people if sum(map(len, people.values())) <= MOST_DOTS else {}


def places_of_people(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> Markup:
    """By figure and person where the person's points are in the picture, as JSON that a script element can hold."""
    found = {figure["id"]: figure["people"] for shown in figures.values() for figure in shown if figure["people"]}
    return as_script(found)


def as_script(value: object) -> Markup:
    """JSON, safe inside a script element."""
    return Markup(json.dumps(value, sort_keys=True).replace("<", "\\u003c"))


def definitions() -> list[dict[str, str]]:
    """What every measure is: label, unit, range, which way is better, and the definition."""
    return [
        {
            "label": f"{measure.label}, {measure.unit}" if measure.unit else measure.label,
            "range": f"{measure.range_in_words}, {measure.better} is better",
            "definition": f"{measure.definition} ({measure.reference})" if measure.reference else measure.definition,
        }
        for measure in measures().values()
    ]


def methods(run: FinishedRun) -> dict[str, Any] | None:
    """What a paper says of the run and what that cites; None where the run has neither."""
    if not run.files.methods.is_file():
        return None
    files = [download(path) for path in (run.files.methods, run.files.references)]
    return {"text": run.files.methods.read_text(encoding="utf-8"), "files": files}


# --- provenance -------------------------------------------------------------------------------------


def provenance(run: FinishedRun) -> list[dict[str, Any]]:
    """`provenance.json` in sections: the configuration as YAML, long lists apart, the rest as it is."""
    content = run.provenance
    # they stand among the times
    content.get("machine", {}).pop("steps", None)
    sections = []
    for name in sorted(content, key=lambda name: (_place(name), name)):
        value = content[name]
        title = name.replace("_", " ")
        if isinstance(value, dict) and all(not isinstance(entry, dict | list) for entry in value.values()):
            entries = {str(key): _shown(entry) for key, entry in value.items()}
            sections.append({"title": title, "entries": entries, "long": len(entries) > 20})
        elif isinstance(value, dict | list):
            written = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
            sections.append({"title": title, "written": written, "long": True})
        else:
            sections.append({"title": title, "entries": {title: _shown(value)}, "long": False})
    return sections


def _place(name: str) -> int:
    order = ("git", "project_version", "seed", "machine", "versions", "config", "inputs")
    return order.index(name) if name in order else len(order)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
