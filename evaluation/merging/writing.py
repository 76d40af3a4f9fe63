"""The merged studies as files: tables for machines, a page of Markdown, the same page as HTML, and the matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import InputError
from core.files import write_folder_beside, write_json, write_table, write_text
from core.names import MISSING
from evaluation.merging import merged as merging
from evaluation.merging.merged import Merged
from evaluation.merging.results import SCHEMA
from evaluation.report.content import data_uri, table_html
from evaluation.report.first_screen import FEW_PEOPLE
from evaluation.report.templates import FOLDER, as_written, template
from evaluation.sensitivity import agreement_of_order, sentence
from evaluation.tables.layout import Panel, Table
from evaluation.tables.writing import to_markdown
from evaluation.verdicts.answers import HARMONIZES
from evaluation.verdicts.endpoints import endpoint_label

PAGE, MACHINE = "README.md", "merged.json"
FIGURE = "pairwise"
FEW_STUDIES = 6
"""Below it what holds from study to study is hardly told."""


def write_merged(merged: Merged, out: Path) -> list[Path]:
    """Write the tables, pages and figure of merged studies into the folder `out`; returns their paths.

    What is there of an earlier merge is replaced. Raises `InputError` where `out` holds anything else.
    """
    from evaluation.figures import pairwise as drawing
    from evaluation.figures import style

    if out.is_dir() and any(out.iterdir()) and not (out / MACHINE).is_file():
        raise InputError(f"{out}: holds something else than merged studies; give a folder of its own")
    arms, pairs, ranked = merging.by_study(merged), merging.pairwise(merged), merging.ranks(merged)
    spread, order = merging.spread_of_ranks(ranked), agreement_of_order(ranked)
    labels = {arm.key: arm.label for arm in merged.arms if arm.ranked}
    simulated = [name for name, results in merged.studies.items() if results.told["study"]["simulated"]]
    with write_folder_beside(out) as made:
        data = {"arms": arms, "pairwise": pairs, "ranks": ranked, "order": order}
        for name, table in data.items():
            write_table(made / f"{name}.tsv", table)
        studies = {name: results.told for name, results in merged.studies.items()}
        write_json(
            made / MACHINE,
            {
                "schema": SCHEMA,
                "version": version("mispel-benchmark"),
                "studies": studies,
                **{name: _plain(table) for name, table in data.items()},
            },
        )
        note = "Clear a : b of n: studies in which the interval of the mean difference leaves out 0."
        figure = drawing.plot(pairs, labels=labels, simulated=bool(simulated), notes=[note])
        pictures = style.save(figure, made, FIGURE)
        tables = {
            "studies": study_cards(merged),
            "arms": arms_table(merged, arms),
            "pairs": pairs_table(merged, pairs),
            "stability": stability_table(spread, order),
            "methods": method_cards(merged),
        }
        markdown = {name: to_markdown(_as_written(table)) for name, table in tables.items()}
        told = {
            "title": f"{len(merged.studies)} studies, one table",
            "mark": "" if not simulated else "simulated" if len(simulated) == len(studies) else "in part simulated",
            "simulated": simulated,
            "real": [name for name in studies if name not in simulated],
            "endpoint": endpoint_sentence(merged),
            "answers": answers(merged, arms),
            "warnings": warnings(merged),
            "order": sentence(order),
            "schema": SCHEMA,
            "version": version("mispel-benchmark"),
        }
        write_text(made / PAGE, template("merged.md.j2").render(**told, tables=markdown, picture=f"{FIGURE}.png"))
        picture = data_uri(next(path for path in pictures if path.suffix == ".png").read_bytes(), "image/png")
        html = {name: table_html(text) for name, text in markdown.items()}
        style_sheet = (FOLDER / "report.css").read_text(encoding="utf-8")
        page = template("merged.html.j2").render(**told, tables=html, picture=picture, style=style_sheet)
        write_text(made / "index.html", page)
    return sorted(path for path in out.rglob("*") if path.is_file())


def _as_written(table: Table) -> Table:
    """A table whose cells are shown as they stand: who sent them may have written anything."""

    def shown(panel: Panel) -> Panel:
        return Panel(
            panel.title, list(map(as_written, panel.header)), [list(map(as_written, row)) for row in panel.rows]
        )

    return replace(table, panels=list(map(shown, table.panels)))


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as JSON can hold them: null for what is missing."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): cell for name, cell in row.items()} for row in rows]


def endpoint_sentence(merged: Merged) -> str:
    """The endpoint that all studies are about."""
    endpoint = next(iter(merged.studies.values())).endpoint
    unit = f", {endpoint.measure.unit}" if endpoint.measure.unit not in ("", "1") else ""
    label = endpoint_label(endpoint.measure.name, endpoint.tissue)
    return f"{label}{unit}, {endpoint.measure.better} is better: the mean over pairs of scanners, and over people."


def answers(merged: Merged, arms: pd.DataFrame) -> list[str]:
    """In how many studies each ranked arm is shown to harmonize, by these runs' own verdicts."""
    told = []
    for arm in merged.arms:
        part = arms[(arms["arm"] == arm.key) & (arms["harmonizes"] != MISSING)]
        if arm.ranked and len(part):
            shown = part.loc[part["harmonizes"] == HARMONIZES, "study"].tolist()
            which = f": {', '.join(shown)}" if shown else ""
            told.append(f"{arm.label}: shown to harmonize in {len(shown)} of {len(part)}{which}.")
    return told


def warnings(merged: Merged) -> list[str]:
    """What the table hangs on."""
    told = []
    studies = {name: results.told for name, results in merged.studies.items()}
    if len(studies) < FEW_STUDIES:
        told.append(
            f"{len(studies)} studies: what holds in them needn't hold in another; intervals of shares are about these "
            "studies' people alone."
        )
    people = {name: len(results.values) for name, results in merged.studies.items()}
    few = [f"{name} ({number})" for name, number in people.items() if number < FEW_PEOPLE]
    if few:
        told.append(f"Few people, so that only large differences are clear: {', '.join(few)}.")
    shared = merging.same_people(merged)
    if shared:
        pairs = "; ".join(f"{a} and {b}" for a, b in shared)
        told.append(
            f"Of the same people: {pairs}. Pairwise intervals take the people of two studies for different ones, and "
            "are too narrow here."
        )
    for field, words in (("protocol", "protocols"), ("version", "versions of the benchmark")):
        if len({one[field] for one in studies.values()}) > 1:
            told.append(f"Different {words}: {'; '.join(f'{name} {one[field]}' for name, one in studies.items())}.")
    return told


def study_cards(merged: Merged) -> Table:
    """A row a study: what its scans are, and which run they were seen in."""
    header = ["Study", "Scans from", "License", "Reference", "People", "Scanners", "Rescanned", "Voxels"]
    rows = []
    for name, results in merged.studies.items():
        told, card = results.told, results.told["study"]
        kind = "simulated" if card["simulated"] else "real"
        rows.append(
            [
                name,
                f"{card['name']} ({kind})",
                card["license"],
                card["reference"],
                str(card["people"]),
                ", ".join(card["scanners"]),
                f"{card['rescanned_people']} people",
                card["voxels"],
                told["protocol"],
                told["date"],
                told["version"],
                told["fingerprints"]["configuration"],
            ]
        )
    header += ["Protocol", "Date", "Version", "Configuration"]
    return Table("studies", "The studies", pd.DataFrame(), [Panel("The studies", header, rows)], [])


def method_cards(merged: Merged) -> Table:
    """A row a ranked arm's method: source, license, year, what it was trained on and needs, whom it applies to."""
    header = ["Arm", "Source", "Year", "License of the original", "Trained on", "Needs", "New people", "New scanners"]
    rows = [
        [
            arm.label,
            arm.about.citation,
            *(getattr(arm.about, name) or MISSING for name in ("year", "license", "trained_on", "needs")),
            *(getattr(arm.about, name) or MISSING for name in ("unseen_subjects", "unseen_scanners")),
        ]
        for arm in merged.arms
        if arm.ranked
    ]
    return Table("methods", "The methods", pd.DataFrame(), [Panel("The methods", header, rows)], [])


def arms_table(merged: Merged, arms: pd.DataFrame) -> Table:
    """Arm by study: the mean, the gain over RAW, and the verdict."""
    names = list(merged.studies)
    cells = {(row["arm"], row["study"]): row for row in arms.to_dict("records")}

    def panel(title: str, write: Any) -> Panel:
        rows = [[arm.label, *(write(cells[arm.key, name]) for name in names)] for arm in merged.arms]
        return Panel(title, ["Arm", *names], rows)

    panels = [
        panel("Mean over people (95 % interval)", lambda cell: _estimate(cell, "mean", "low", "high")),
        panel("Gain over RAW (95 % interval)", lambda cell: _estimate(cell, "gain", "gain_low", "gain_high")),
        panel("Verdict: harmonizes; differences removed; person kept", _verdict),
    ]
    notes = [
        "n/a: the study hasn't this arm, or it gave no number there. Verdicts are those of the runs themselves, each "
        "by its own controls. An arm with other parameters is another arm, named with what differs. Student's "
        "intervals over people, of the gain over seeds too."
    ]
    return Table("arms", "Arm by study", pd.DataFrame(), panels, notes)


def _estimate(cell: Mapping[Any, Any], *names: str) -> str:
    value, low, high = (cell[name] for name in names)
    if pd.isna(value):
        return MISSING
    return f"{value:.3g}" if pd.isna(low) else f"{value:.3g} ({low:.3g} to {high:.3g})"


def _verdict(cell: Mapping[Any, Any]) -> str:
    if cell["removed"] == MISSING:
        return MISSING
    if cell["harmonizes"] == MISSING:
        return f"{cell['removed']} ({cell['why']})"
    return f"{cell['harmonizes']}; {cell['removed']}; {cell['kept']}"


def pairs_table(merged: Merged, pairs: pd.DataFrame) -> Table:
    """Every two ranked arms once, with what the matrix has no room for."""
    labels = {arm.key: arm.label for arm in merged.arms}
    place = {arm.key: number for number, arm in enumerate(merged.arms)}
    endpoint = next(iter(merged.studies.values())).endpoint
    header = ["A", "B", "Studies", "People", "A better in", "Clear for A", "Clear for B", "Mean difference"]
    rows = []
    for row in pairs.to_dict("records"):
        if place[row["a"]] < place[row["b"]]:
            continue
        pooled = [row[name] for name in ("difference", "difference_low", "difference_high")]
        difference = MISSING if pd.isna(pooled[0]) else f"{pooled[0]:.3g} ({pooled[1]:.3g} to {pooled[2]:.3g})"
        rows.append(
            [
                labels[row["a"]],
                labels[row["b"]],
                str(row["studies"]),
                str(row["people"]),
                f"{row['share']:.0%} ({row['low']:.0%} to {row['high']:.0%})",
                str(row["a_clear"]),
                str(row["b_clear"]),
                difference,
            ]
        )
    unit = f" in {endpoint.measure.unit}" if endpoint.measure.unit not in ("", "1") else ""
    notes = [
        "A better in: the share of people for whom A is better, the mean over studies, each counted alike, with an "
        "interval over these studies' people (Wilson's, put together by MOVER: Zou, Huang and Zhang 2009). Clear for "
        "A: studies in which the 95 % interval of the mean difference over people leaves out 0, in A's favor.",
        f"Mean difference{unit}, positive where A is better: random effects over three studies or more (DerSimonian "
        "and Laird 1986) with Hartung and Knapp's interval (2001), which is wide for few studies. n/a: fewer, or no "
        "spread over people. Nothing is corrected for the number of pairs.",
    ]
    return Table("pairs", "Pairwise wins", pd.DataFrame(), [Panel("Pairwise wins", header, rows)], notes)


def stability_table(spread: pd.DataFrame, order: pd.DataFrame) -> Table:
    """The spread of each arm's rank over studies, and the agreement of the order in every two."""
    ranks = [[row["label"], *(f"{row[name]:.3g}" for name in ("best", "mean", "worst"))] for row in _plain(spread)]
    taus = [
        [row["run_a"], row["run_b"], str(row["n"]), MISSING if row["tau"] is None else f"{row['tau']:.2f}"]
        for row in _plain(order)
    ]
    panels = [
        Panel("Ranks over studies (1 is best)", ["Arm", "Best", "Mean", "Worst"], ranks),
        Panel("Agreement of the order", ["Study", "Study", "Arms", "Kendall's tau"], taus),
    ]
    notes = [
        "Ranks are by the mean of the endpoint, RAW's among them, of the arms that every study has; they say nothing "
        "of how far arms lie apart, nor whether they keep the person."
    ]
    return Table("stability", "Does the order hold?", pd.DataFrame(), panels, notes)
