"""A travelling-subject BIDS dataset in native spaces, from import to the report; it is made from the phantom."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmarks.preprocessing import misalignment, residual_bias
from core.files import read_table
from core.jobs.disk_space import PAGES, bytes_to_write
from studies.preprocessing.options import PreprocessOptions
from studies.sources import source
from studies.sources.bids import bytes_beside, grid
from tests.support import travelling
from tests.support.runs import snakemake

pytestmark = pytest.mark.slow

OPTIONS = {"scanner": "ses", "voxel_size_mm": 4, "brain": "stripped"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict]:
    """A folder with the dataset and a finished run on it, and what was done to each scan."""
    folder = tmp_path_factory.mktemp("bids")
    truths = travelling.make(folder / "dataset")
    config = {
        "run": "travelling",
        "study": {"source": "bids", "bids": OPTIONS | {"dataset": str(folder / "dataset")}},
        "methods": {"whitestripe": None, "ravel": None, "mispel": None, "zscore": {}},
        "segmentation": {"engine": "gmm"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(folder, "--configfile", str(folder / "config.yaml"))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, truths


def test_import_to_report(finished):
    folder, truths = finished
    run = folder / "results" / "travelling"
    scans = read_table(run / "scans.tsv")
    assert set(zip(scans["subject"], scans["scanner"], strict=True)) == set(truths)
    assert "age" in scans
    assert "age" in source("bids").covariates(OPTIONS | {"dataset": str(folder / "dataset")})
    assert set(read_table(run / "status.tsv")["status"]) == {"ok"}
    quality = read_table(run / "study" / "quality.tsv")
    assert len(quality) == len(truths)
    assert (quality["similarity_own"] > 0.9).all()
    assert "Quality" in (run / "report.html").read_text(encoding="utf-8")
    assert (run / "figures" / "figure_quality.png").stat().st_size


def test_what_was_done_to_the_scans_is_undone(finished):
    folder, truths = finished
    study = folder / "results" / "travelling" / "study"
    apart = misalignment(study, truths, PreprocessOptions(voxel_size_mm=4, brain="stripped"))
    assert (apart["before_mm"] > 10).all()
    assert (apart["mean_mm"] < 1).all()
    assert (apart["p95_mm"] < 2).all()
    bias = residual_bias(study, truths, folder / "dataset")
    assert (bias["after_sd"] < 0.7 * bias["before_sd"]).all()


def test_what_it_writes_is_told_in_advance(finished):
    folder, truths = finished
    options = OPTIONS | {"dataset": str(folder / "dataset")}
    written = sum(path.stat().st_size for path in (folder / "results" / "travelling" / "study").rglob("*.nii.gz"))
    bids = source("bids")
    chosen = bids.options(options)
    shape = grid(chosen)
    told = bytes_to_write(scans=len(truths), voxels=shape[0] * shape[1] * shape[2], arms=0, beside=bytes_beside(chosen))
    assert 1 < (told - PAGES) / written < 1.4
    assert bids.planned_bytes(options, 2) > told
    unmoved = bids.options(options | {"registration": "none", "brain": "stripped"})
    assert bytes_beside(unmoved) < bytes_beside(chosen)
    native = grid(unmoved)
    assert native is not None
    assert native != shape
