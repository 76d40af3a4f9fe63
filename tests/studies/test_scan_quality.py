"""Scans that don't look like brains on the atlas: refused, left out or kept, and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from core.errors import InputError
from core.files import read_table
from core.images import save_image
from core.run_folder import RunFolder
from studies.__main__ import main
from tests.support.bids_dataset import make_dataset, t1w
from tests.support.runs import snakemake

AXES = np.meshgrid(*(np.linspace(-1, 1, n) for n in (40, 44, 36)), indexing="ij")
RADIUS = np.sqrt(sum(axis**2 for axis in AXES))
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
OPTIONS = {"scanner": "ses", "registration": "none", "n4": False}
REASON = "brain mask of 426 mL, an adult's has 800 to 2200"


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Two people on two scanners, scan 02 on b no larger than a child's fist."""
    names = [t1w(person, session) for person in ("01", "02") for session in ("a", "b")]
    folder = make_dataset(tmp_path / "set", *names)
    for name in names:
        size = 0.6 if name == names[-1] else 0.8
        brain = np.where(size > RADIUS, np.where(RADIUS < 0.5, 1.0, 0.7), 0)
        noise = np.random.default_rng(len(name)).normal(0, 0.01, brain.shape)
        save_image(folder / name, np.where(brain > 0, brain + noise, 0), AFFINE)
    return folder


def test_by_hand(dataset, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["preprocess", str(dataset), "--scanner", "ses", "--registration", "none", "--no-n4", "--out", str(out)]
    with pytest.raises(InputError, match=r"1 of 4 scans don't look like brains.*subject 02 on b is flagged: " + REASON):
        main(words)
    assert not (out / "scans.tsv").exists()
    assert list(read_table(out / "quality.tsv")["status"]) == ["ok", "ok", "ok", "refused"]
    done = (out / "status" / "sub-01_scanner-a" / "register.json").stat().st_mtime_ns
    for way, scans, told in (("leave_out", 3, "was left out"), ("keep", 4, "was kept though flagged")):
        assert main([*words, "--flagged", way]) == 0
        assert len(read_table(out / "scans.tsv")) == scans
        assert f"subject 02 on b {told}: {REASON}" in capsys.readouterr().err
        assert f"**{told}**: {REASON}" in (out / "quality.md").read_text()
    assert (out / "status" / "sub-01_scanner-a" / "register.json").stat().st_mtime_ns == done


@pytest.mark.slow
def test_in_a_run(dataset, tmp_path):
    def start(way: str):
        config = {
            "run": "one",
            "study": {"source": "bids", "bids": OPTIONS | {"dataset": str(dataset)}},
            "flagged": way,
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        sheet = str(run.sheet.relative_to(tmp_path))
        return snakemake(tmp_path, sheet, "--configfile", str(tmp_path / "config.yaml"))

    run = RunFolder(tmp_path / "results" / "one")
    refused = start("refuse")
    assert refused.returncode != 0
    assert f"subject 02 on b is flagged: {REASON}" in refused.stdout + refused.stderr
    assert not run.sheet.exists()
    done = run.study.record("sub-01_scanner-a", "register").stat().st_mtime_ns
    ended = start("leave_out")
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"subject 02 on b was left out: {REASON}" in ended.stderr
    assert len(read_table(run.sheet)) == 3
    # what becomes of a scan is no input of its registration
    assert run.study.record("sub-01_scanner-a", "register").stat().st_mtime_ns == done
