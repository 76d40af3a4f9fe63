"""A travelling-subject BIDS dataset in native spaces, from import to the report; it is made from the phantom."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from benchmarks.preprocessing import misalignment, residual_bias
from core.files import read_table
from core.jobs.disk_space import PAGES, bytes_to_write
from core.run_folder import RunFolder, image_name, scan_name
from studies.preprocessing.options import PreprocessOptions
from studies.sources import source
from studies.sources.bids import bytes_beside, grid
from tests.support import travelling
from tests.support.bids_dataset import t1w
from tests.support.runs import NO_CONTROL_ARMS, NO_CONTROLS, snakemake

pytestmark = pytest.mark.slow

OPTIONS = {"scanner": "ses", "repeats": "rescans", "voxel_size_mm": 4, "brain": "stripped"}
RESCANNED = "001", "GE"
RUN_2 = "sub-001_ses-GE_run-2_T1w.nii.gz"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict]:
    """A folder with the dataset, one of its scans repeated, and a finished run on it; what was done to each scan."""
    folder = tmp_path_factory.mktemp("bids")
    truths = travelling.make(folder / "dataset")
    scan = folder / "dataset" / t1w(*RESCANNED)
    image = nib.load(scan)
    voxels = image.get_fdata(dtype=np.float32)
    noisy = np.where(voxels > 0, np.abs(voxels + np.random.default_rng(9).normal(0, 6, voxels.shape)), 0)
    nib.save(nib.Nifti1Image(noisy.astype(np.float32), image.affine, image.header), scan.parent / RUN_2)
    config = {
        "run": "travelling",
        "study": {"source": "bids", "bids": OPTIONS | {"dataset": str(folder / "dataset")}},
        "methods": {"whitestripe": None, "ravel": None, "mispel": None, "zscore": {}, **NO_CONTROL_ARMS},
        "controls": NO_CONTROLS,
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
    first = scans.drop_duplicates(["subject", "scanner"])
    assert set(zip(first["subject"], first["scanner"], strict=True)) == set(truths)
    again = scans.drop(first.index)
    assert list(zip(again["subject"], again["scanner"], again["session"], strict=True)) == [(*RESCANNED, "2")]
    assert "age" in scans
    assert "age" in source("bids").covariates(OPTIONS | {"dataset": str(folder / "dataset")})
    assert set(read_table(run / "status.tsv")["status"]) == {"ok"}
    quality = read_table(run / "study" / "quality.tsv")
    assert len(quality) == len(truths) + 1
    assert set(quality["session"]) == {"", "2"}
    assert (quality["similarity_own"] > 0.9).all()
    assert "Quality" in (run / "report.html").read_text(encoding="utf-8")
    assert (run / "figures" / "figure_quality.png").stat().st_size


def test_a_rescan_goes_through_every_step_and_is_likest_its_scan(finished):
    folder, _ = finished
    run = RunFolder(folder / "results" / "travelling")
    name = scan_name(*RESCANNED, "2")
    for step in ("register", "resample"):
        assert run.study.record(name, step).is_file()
    for arm in ("raw", "zscore"):
        assert (run.images(arm) / image_name(name)).is_file()
    rescans = read_table(run.metric("rescan_ssim"))
    raw = read_table(run.metric("ssim")).query("method == 'raw' and subject == '001'")
    of_scan = rescans.query("method == 'raw'")
    assert set(zip(of_scan["subject"], of_scan["scanner"], strict=True)) == {RESCANNED}
    assert of_scan["ssim"].min() > raw["ssim"].max()


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
    told = bytes_to_write(scans=len(truths) + 1, voxels=math.prod(shape), arms=0, beside=bytes_beside(chosen))
    assert 1 < (told - PAGES) / written < 1.4
    assert bids.planned_bytes(options, 2) > told
    unmoved = bids.options(options | {"registration": "none", "brain": "stripped"})
    assert bytes_beside(unmoved) < bytes_beside(chosen)
    native = grid(unmoved)
    assert native is not None
    assert native != shape
