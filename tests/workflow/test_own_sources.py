"""The source that docs/own-sources.md shows, run as it says, from its options to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from core.files import read_table
from core.images import load_mask, save_image
from core.sheet import read_sheet
from tests.support.made_up_study import write_study
from tests.support.project_copy import copy_project, python, shown
from tests.support.runs import NO_CONTROL_ARMS, NO_CONTROLS

pytestmark = pytest.mark.slow

PAGE = "own-sources.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with the page's source, and scans that lie as that wants them."""
    folder = tmp_path_factory.mktemp("own") / "project"
    copy_project(folder)
    (folder / "studies" / "sources" / "flat.py").write_text(shown(PAGE, "python")[0])
    for scan in read_sheet(write_study(folder / "own", subjects=3), scale="brain").scans:
        save_image(folder / "theirs" / f"{scan.subject}_{scan.scanner}.nii.gz", 3 * scan.read(), scan.affine)
    return folder


def write_config(project: Path, **options) -> None:
    config = yaml.safe_load(shown(PAGE, "yaml")[0])
    config["study"]["flat"] |= options
    config["methods"] = config.get("methods", {}) | NO_CONTROL_ARMS
    config |= {"segmentation": {"engine": "gmm"}, "people_per_job": 3, "controls": NO_CONTROLS}
    (project / "mine.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"foldr": "x"}, "unknown key 'study.flat.foldr' (did you mean 'folder'?)"),
        ({"above": "little"}, "study.flat.above: 'little'; give a number"),
        ({"above": -1}, "study.flat.above: -1; give 0 or more"),
    ],
)
def test_its_options_are_checked_before_anything_runs(project, options, message):
    write_config(project, **options)
    done = python(project, "snakemake", "--dry-run", "--configfile", "mine.yaml")
    assert done.returncode == 1
    assert f"error: {message}" in done.stderr.replace("configuration: ", "")
    assert not (project / "results").exists()


def test_the_page_runs_to_the_report(project):
    write_config(project)
    done = python(project, "snakemake", "--cores", "2", "--configfile", "mine.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    run = project / "results" / "mine"
    assert set(read_table(run / "status.tsv")["status"]) == {"ok"}
    # RAW and the page's arm; three people, three pairs
    assert len(read_table(run / "metrics" / "ssim.tsv")) == 2 * 3 * 3
    options = json.loads((run / "study" / "options.json").read_text())
    assert options == {"folder": "theirs", "above": 0.01, "scale": "brain"}
    scan = read_sheet(run / "scans.tsv").scans[0]
    assert (load_mask(scan.mask)[0] == (scan.read() > 0)).all()
    assert "theirs/" in (run / "study" / "inputs.json").read_text()
    assert (run / "report.html").exists()
