"""What a paper says of a run, as Markdown that cites by key, and the references that it cites, as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from core.files import write_text
from evaluation.report import content
from evaluation.report.templates import FOLDER, template
from evaluation.runs.finished_run import FinishedRun
from evaluation.runs.provenance import read_provenance

REFERENCES = FOLDER / "references.bib"
ENTRY = re.compile(r"^@\w+\{(?P<key>\w+),$.*?^\}$", re.DOTALL | re.MULTILINE)
CITED_AS = re.compile(r"^  cited_as = \{(.*)\},\n", re.MULTILINE)
KEY = re.compile(r"@(\w+)")
SAYS = ("config", "project_version", "git.commit", "machine.python", "versions")
"""What the text says of a run by its provenance."""

OF_A_STUDY = {"raw": "as they entered the study"}
"""What stands for a citation of methods that are none."""


def write_methods(run: FinishedRun) -> list[Path]:
    """Write `methods.md` and `references.bib` of a finished run into its folder; returns their paths."""
    entries = bibliography(REFERENCES.read_text(encoding="utf-8"))
    text = methods_text(run, keys_by_citation(entries))
    cited = sorted(set(KEY.findall(text)) & entries.keys())
    write_text(run.files.methods, text + "\n")
    write_text(run.files.references, "\n\n".join(CITED_AS.sub("", entries[key]) for key in cited) + "\n")
    return [run.files.methods, run.files.references]


def bibliography(text: str) -> dict[str, str]:
    """BibTeX's entries by their keys."""
    return {found["key"]: found.group() for found in ENTRY.finditer(text)}


def keys_by_citation(entries: Mapping[str, str]) -> dict[str, str]:
    """The keys of entries by how methods cite them."""
    found = {}
    for key, entry in entries.items():
        if cited_as := CITED_AS.search(entry):
            found[cited_as[1]] = key
    return found


def with_keys(citation: str, keys: Mapping[str, str]) -> str:
    """A method's citation, of several parts maybe, with a key for every part that has one."""
    return "; ".join(f"[@{keys[part]}]" if part in keys else part for part in citation.split("; "))


def stand_in(run: FinishedRun) -> str:
    """The measure that stood in for the primary endpoint of the configuration; empty where none did."""
    gains = run.table("statistics/gains.tsv", ["endpoint", "measure"])
    used = [] if gains is None else list(gains.loc[gains["endpoint"] == "primary", "measure"].unique())
    return ", ".join(name for name in used if name != run.primary_measure)


def methods_text(run: FinishedRun, keys: Mapping[str, str]) -> str:
    """The methods section of a finished run, by its provenance, arms and scans.

    keys: of the references, by how methods cite them. Raises `InputError` where the run has no provenance.
    """
    told = read_provenance(run.folder, *SAYS)
    config = told["config"]
    competing = [about for about in run.described.values() if about.competes]
    source = config["study"]["source"]
    return template("methods.md.j2").render(
        run=content.overview(run),
        source=source,
        study=config["study"].get(source) or {},
        scale=config["scale"],
        arms=[
            {
                "label": about.label,
                "variant": about.variant,
                "cited": OF_A_STUDY.get(about.method) or with_keys(about.citation, keys),
                "parameters": content.in_words(config["methods"].get(about.id)),
            }
            for about in competing
        ],
        controls=[run.label(arm) for arm, about in run.described.items() if about.role not in ("arm", "seed")],
        folds=run.folds,
        left_out=run.left_out,
        segmentation=config["segmentation"],
        primary=config["evaluation"]["primary"],
        stand_in=stand_in(run),
        version=told["project_version"],
        commit=(told["git"]["commit"] or "")[:10],  # none without git
        python=told["machine"]["python"],
        versions=", ".join(f"{name} {version}" for name, version in told["versions"].items() if name != "snakemake"),
    )
