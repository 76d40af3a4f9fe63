"""The arms that docs/own-methods.md shows, run as it says: held out, from `new` to the report."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.files import read_table
from core.images import save_image
from core.sheet import read_sheet
from tests.support.made_up_study import write_study
from tests.support.project_copy import copy_project, python, shown
from tests.support.runs import NO_CONTROL_ARMS

pytestmark = pytest.mark.slow

PAGE = "own-methods.md"
ARMS = ["raw", "scanner_median", "scanner_median_permuted", "theirs", "theirs_blur"]
ARMS += ["program", "program_permuted", "program_blur"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, since a method's file goes into it; with scans, programs and configuration."""
    folder = tmp_path_factory.mktemp("own") / "project"
    copy_project(folder)
    sheet = write_study(folder / "own", subjects=4)
    for scan in read_sheet(sheet, scale="brain").scans:
        save_image(folder / "theirs" / f"{scan.subject}_{scan.scanner}.nii.gz", 3 * scan.read(), scan.affine)
    (folder / "program.py").write_text(shown(PAGE, "python")[1])
    config = yaml.safe_load(shown(PAGE, "yaml")[0])
    config["study"] = {"source": "sheet", "sheet": {"scans": str(sheet)}}
    config["methods"] |= NO_CONTROL_ARMS
    config |= {"segmentation": {"engine": "gmm"}, "people_per_job": 4, "controls": {"seeds": 1}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


def test_the_page_runs_to_the_report(project):
    done = python(project, "baselines", "new", "scanner_median")
    assert done.returncode == 0, done.stderr
    method = shown(PAGE, "python")[0]
    assert len(method.splitlines()) < 40
    (project / "baselines" / "scanner_median.py").write_text(method)
    assert "Scanner median" in python(project, "baselines", "list").stdout

    done = python(project, "snakemake", "--cores", "2", "--configfile", "mine.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    run = project / "results" / "mine"
    status = read_table(run / "status.tsv")
    assert set(status["status"]) == {"ok"}
    assert list(status["method"].unique()) == ARMS
    ssim = read_table(run / "metrics" / "ssim.tsv")
    assert list(ssim["method"].unique()) == ARMS
    page = (run / "report.html").read_text()
    assert "Scanner median" in page
    assert "program" in page
    assert "Held out" in page

    # held out: a model a fold, and everyone's fold in the sheet and the metrics
    assert {path.name for path in (run / "models" / "scanner_median").iterdir()} == {"fold-1", "fold-2"}
    folds = read_table(run / "scans.tsv").groupby("subject")["fold"].unique().map(list).to_dict()
    assert sorted(fold for found in folds.values() for fold in found) == [1, 1, 2, 2]
    assert all([row["fold"]] == folds[row["subject"]] for row in ssim.to_dict("records"))
    assert not (run / "training").exists() or not list((run / "training").iterdir())
