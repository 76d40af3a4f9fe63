"""The command line of BIDS Apps: what each level would do, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.errors import InputError
from tests.support.bids_dataset import make_dataset, t1w
from workflow import bids_app

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    names = [t1w(person, session) for person in ("01", "02") for session in ("a", "b")]
    return make_dataset(tmp_path_factory.mktemp("app") / "dataset", *names)


def words(dataset: Path, level: str, *further: str) -> list[str]:
    work = dataset.parent / "work"
    return [str(dataset), str(dataset.parent / "out"), level, "--scanner", "ses", "--work-dir", str(work), *further]


def test_participant_takes_the_scans_of_the_people_named(dataset, capfd):
    assert bids_app.main(words(dataset, "participant", "--participant-label", "01", "--dry-run")) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    jobs = {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}
    # the person's scan on each of two scanners
    assert jobs == {"check_study": 1, "register": 2, "resample": 2, "total": 5}
    written = yaml.safe_load((dataset.parent / "work" / "configuration.yaml").read_text())
    assert written["study"]["bids"] == {"dataset": str(dataset), "scanner": "ses"}
    assert written["methods"] == {"mispel": {"preset": "laptop"}}


def test_group_takes_all_to_the_report(dataset, tmp_path, capfd):
    own = tmp_path / "own.yaml"
    own.write_text("run: mine\nmethods: {mispel: null}\nstudy: {bids: {brain: stripped}}\n")
    assert bids_app.main(words(dataset, "group", "--configfile", str(own), "--dry-run")) == 0
    told = capfd.readouterr().out.split()
    assert {"register", "fit", "report"} <= set(told)


def test_what_cannot_be_done_is_refused_before_any_work(dataset, tmp_path):
    with pytest.raises(InputError, match="--participant-label 07: no scan"):
        bids_app.main(words(dataset, "participant", "--participant_label", "07"))
    (tmp_path / "thesis.md").write_text("mine")
    taken = words(dataset, "group")
    taken[1] = str(tmp_path)
    with pytest.raises(InputError, match="no export of a run"):
        bids_app.main(taken)


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        bids_app.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("level", ["participant", "group"])
def test_it_ends_with_what_there_is_seen_from_where_one_stands(level, dataset, monkeypatch, capsys):
    monkeypatch.setattr(bids_app, "snakemake", lambda given, targets: 0)
    monkeypatch.setattr(bids_app, "export", lambda run, out: out)
    given = words(dataset, level)
    assert bids_app.main(given) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    place = str(bids_app.parser().parse_args(given).work_dir / "results" / "benchmark")
    assert place in last
    assert last.startswith("Report:") if level == "group" else last.endswith(" group")
