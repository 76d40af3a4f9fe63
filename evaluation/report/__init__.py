"""The report: one page that holds all of a finished run, works offline, and can be mailed.

It shows what the run's files say and computes nothing but sums and means of them; the same files give
the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from core.files import write_text
from evaluation.report import content, first_screen, viewer
from evaluation.report.templates import FOLDER, template
from evaluation.runs.finished_run import read_run

VERDICT_TOPIC = "Verdict"
"""The topic of figures that stand on the first screen."""


def render(run: Path | str) -> Path:
    """Write `run/report.html` from the files in the run's folder and return its path.

    Raises `InputError` where the folder holds no run.
    """
    opened = read_run(run)
    figures = {
        topic: [{**figure, "image": content.data_uri(figure["path"].read_bytes(), "image/png")} for figure in shown]
        for topic, shown in content.figures(opened).items()
    }
    page = template("report.html.j2").render(
        style=_part("report.css"),
        script="".join(_part(f"{name}.js") for name in ("viewer", "people", "report")),
        people=opened.subjects,
        places=content.places_of_people(figures),
        run=content.overview(opened),
        headline=content.headline(opened.only("arm")),
        verdict=first_screen.first_screen(opened),
        verdict_figures=figures.pop(VERDICT_TOPIC, []),
        arms=content.arms(opened),
        started=content.started(opened),
        times=content.times(opened),
        costs=content.costs(opened),
        jobs=content.jobs(opened),
        tables=content.tables(opened),
        figures=figures,
        definitions=content.definitions(),
        viewer=viewer.as_json(viewer.build(opened)),
        methods=content.methods(opened),
        provenance=content.provenance(opened),
    )
    path = opened.files.report
    write_text(path, page)
    return path


def _part(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
