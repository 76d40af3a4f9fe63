"""Arms of volumes in a run, held out: from the configuration to the verdict and the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.files import read_json, read_table
from tests.support.made_up_study import write_study
from tests.support.runs import snakemake, write_config

pytestmark = pytest.mark.slow

VOLUME_ARMS = ["combat_volumes", "combat_volumes_permuted", "by_region", "by_region_permuted"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run of 6 people on 3 scanners in two folds and two batches, of RAW and arms of its volumes."""
    folder = tmp_path_factory.mktemp("volume arms")
    write_study(folder / "own", subjects=6)
    methods = {"combat_volumes": {}, "by_region": {"method": "longcombat"}}
    config = write_config(
        folder,
        methods={"whitestripe": None, "ravel": None, "mispel": None, **methods},
        controls={"permuted": True, "matched_blur": True, "seeds": 1},
        segmentation={"engine": "hmrf"},
        protocol="kfold",
        folds={"count": 2},
        people_per_job=3,
    )
    done = snakemake(folder, "--configfile", config)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "results" / "small"


def test_they_are_arms_with_controls_but_no_blur(run):
    arms = read_table(run / "arms.tsv").fillna("").set_index("arm")
    assert set(arms.index) == {"raw", *VOLUME_ARMS}
    assert arms.loc["raw", "gives"] == "images"
    assert set(arms.loc[VOLUME_ARMS, "gives"]) == {"volumes"}
    status = read_table(run / "status.tsv")
    assert set(status["status"]) == {"ok"}
    assert list(status[status["method"] == "by_region"]["step"]) == ["fit", "apply"]
    assert not (run / "images" / "by_region").exists()


def test_volumes_come_from_fits_without_the_person(run):
    sheet = read_table(run / "scans.tsv")
    for fold in ("1", "2"):
        seen = read_json(run / "models" / "combat_volumes" / f"fold-{fold}" / "method.json")["subjects"]
        assert set(seen) == set(sheet.loc[sheet["fold"].astype(str) != fold, "subject"])
    volumes = read_table(run / "metrics" / "volumes.tsv")
    assert (volumes.groupby("method").size() == 6 * 3 * 3).all()
    for arm in VOLUME_ARMS:
        own, raw = (volumes.loc[volumes["method"] == method, "volume_ml"].to_numpy() for method in (arm, "raw"))
        assert np.abs(own - raw).max() > 0.1
    assert set(read_table(run / "metrics" / "ssim.tsv")["method"]) == {"raw"}


def test_verdict_and_report_tell_of_them(run):
    verdicts = read_table(run / "statistics" / "verdicts.tsv").set_index("method")
    assert set(VOLUME_ARMS) <= set(verdicts.index)
    gains = read_table(run / "statistics" / "gains.tsv")
    primary = gains[(gains["endpoint"] == "primary") & (gains["method"] == "by_region")]
    assert list(primary["control"]) == ["raw", "permuted"]
    assert "all arms, by volumes" in (run / "tables" / "table_summary.md").read_text()
    page = (run / "report.html").read_text()
    assert "No numbers of images, since volumes alone are harmonized" in page
    assert "covariance of people&#39;s volumes" in page or "covariance of people's volumes" in page
    assert (run / "status" / "complete").exists()
