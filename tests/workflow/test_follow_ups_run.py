"""Follow-ups in a run: what is measured of them, and that nothing else changes by their being there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.files import read_json, read_table
from evaluation.figures import draw_one
from tests.support.made_up_study import write_rescan, write_study
from tests.support.runs import NO_CONTROLS, planned, snakemake, write_config

pytestmark = pytest.mark.slow

METHODS = {
    "mispel": None,
    "whitestripe": None,
    "ravel": None,
    "combat_volumes": {},
    "by_region": {"method": "covbat", "parts": "regions"},
    "nyul": {},
    "person_mean": {},
}


def configured(folder: Path, **more) -> str:
    given = {
        "methods": METHODS,
        "controls": NO_CONTROLS,
        "segmentation": {"engine": "gmm", "engines": ["hmrf"]},
        "people_per_job": 2,
    }
    return write_config(folder, **given | more)


def write_own(folder: Path, *, follow_ups: bool) -> None:
    """Four people on three scanners, one of them rescanned; three are followed up, one on one scanner alone."""
    sheet = write_study(folder / "own", subjects=4)
    table = pd.read_csv(sheet, sep="\t", dtype=str).assign(session="1", time="0")
    more = []

    def add(row, session, time):
        path = write_rescan(sheet.parent / row.image, seed=sum(f"{row.image}{session}".encode()))
        name = f"{session}_{row.image}"
        path.rename(sheet.parent / name)
        more.append({**row._asdict(), "image": name, "session": session, "time": time})

    for row in table.itertuples(index=False):
        if row.subject == "01":
            add(row, "2", "0")
        if follow_ups and (row.subject in ("01", "02") or (row.subject, row.scanner) == ("03", "Gamma")):
            add(row, "later", "2")
    rows = pd.concat([table, pd.DataFrame(more)])
    (rows if follow_ups else rows.drop(columns="time")).to_csv(sheet, sep="\t", index=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    """The same study held out, without follow-ups as far as its tables, and with them to the report."""
    found = []
    for follow_ups in (False, True):
        folder = tmp_path_factory.mktemp("followed" if follow_ups else "plain")
        write_own(folder, follow_ups=follow_ups)
        config = configured(folder, protocol="kfold", folds={"count": 2, "stratify": "age"}, people_per_job=4)
        done = snakemake(folder, *([] if follow_ups else ["tables"]), "--configfile", config)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(folder / "results" / "small")
    return found[0], found[1]


def test_no_other_table_changes_by_a_byte(runs):
    without, followed = runs
    own = {"follow_up_volumes.tsv", "changes.tsv", "change_by_pair.tsv", "change.tsv"}
    for part in ("metrics", "statistics"):
        names = {path.name for path in (without / part).glob("*.tsv")}
        assert {path.name for path in (followed / part).glob("*.tsv")} - names == (own if part == "metrics" else set())
        for name in sorted(names):
            assert (followed / part / name).read_bytes() == (without / part / name).read_bytes(), name
    for path in sorted((without / "tables").glob("*.tsv")):
        assert (followed / "tables" / path.name).read_bytes() == path.read_bytes(), path.name
    assert not (without / "tables" / "table_change.tsv").exists()
    assert draw_one(without, "figure_change") == []


def test_fits_are_the_same(runs):
    without, followed = runs
    for path in sorted((without / "models").rglob("*")):
        if path.is_file():
            assert (followed / path.relative_to(without)).read_bytes() == path.read_bytes(), path
    seen = read_json(followed / "models" / "nyul" / "fold-1" / "method.json")["subjects"]
    sheet = read_table(followed / "scans.tsv")
    assert set(seen) == set(sheet.loc[sheet["fold"].astype(str) != "1", "subject"])


def test_every_arm_measures_the_changes_of_people_who_were_followed_up(runs):
    changes = read_table(runs[1] / "metrics" / "changes.tsv")
    counts = changes[changes["years"] > 0].groupby(["method", "tissue", "subject"]).size()
    assert set(counts.index.get_level_values("method")) >= {"raw", "nyul", "combat_volumes", "by_region", "person_mean"}
    # three scanners at the start and later, or one later
    assert set(counts.xs("01", level="subject")) == set(counts.xs("02", level="subject")) == {9}
    assert set(counts.xs("03", level="subject")) == {3}
    assert "04" not in counts.index.get_level_values("subject")
    assert set(changes["fold"].astype(str)) == {"1", "2"}
    assert (runs[1] / "images" / "nyul" / "sub-03_scanner-Gamma_session-later_T1w.nii.gz").is_file()
    assert (runs[1] / "tables" / "table_change.tsv").is_file()
    assert (runs[1] / "figures" / "figure_change.png").is_file()
    assert "Change over time" in (runs[1] / "report.html").read_text()


def test_they_are_planned_with_their_people(tmp_path):
    write_own(tmp_path, follow_ups=True)
    jobs = planned(snakemake(tmp_path, "--configfile", configured(tmp_path), "--dry-run"))
    assert (jobs["apply"], jobs["segment"], jobs["fit"], jobs["fit_volumes"]) == (6, 6, 3, 2)


@pytest.mark.parametrize(
    ("time", "message"),
    [("-2", "column time: '-2'; give years"), ("soon", "column time: 'soon'; give years")],
)
def test_a_bad_time_stops_before_any_work(tmp_path, time, message):
    write_own(tmp_path, follow_ups=True)
    sheet = tmp_path / "own" / "scans.tsv"
    rows = pd.read_csv(sheet, sep="\t", dtype=str)
    rows.loc[rows["session"] == "later", "time"] = time
    rows.to_csv(sheet, sep="\t", index=False)
    done = snakemake(tmp_path, "--configfile", configured(tmp_path))
    assert done.returncode != 0
    assert message in done.stderr
    assert not (tmp_path / "results" / "small" / "scans.tsv").exists()
