"""The plain install, without extras: images made elsewhere are judged, and what needs more is refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.files import read_json, read_table
from core.images import save_image
from core.libraries import EXTRAS
from core.sheet import read_sheet
from tests.support.made_up_study import write_study
from tests.support.paths import ROOT
from tests.support.runs import snakemake, write_config

LEFT_OUT = [module for modules in EXTRAS.values() for module in modules]
AS_IF_NOT_INSTALLED = f"import sys\nsys.modules.update(dict.fromkeys({LEFT_OUT!r}))\n"


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A folder of modules with which every Python that has it on its path lacks all libraries of extras."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "sitecustomize.py").write_text(AS_IF_NOT_INSTALLED)
    return folder


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """A folder with a study, and the images that somebody made of it elsewhere."""
    folder = tmp_path_factory.mktemp("judged")
    sheet = write_study(folder / "own", subjects=3)
    for scan in read_sheet(sheet, scale="brain").scans:
        save_image(folder / "theirs" / f"{scan.subject}_{scan.scanner}.nii.gz", 3 * scan.read(), scan.affine)
    return folder


def configured(folder: Path, **methods) -> str:
    theirs = {"method": "external", "images": f"{folder}/theirs/{{subject}}_{{scanner}}.nii.gz"}
    return write_config(folder, methods={"mispel": None, "theirs": theirs | {"uses_other_scans": False}, **methods})


def python(plain: Path, folder: Path, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{plain}"}
    return subprocess.run([sys.executable, "-m", *words], env=environment, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("package", ["studies", "baselines", "mispel", "evaluation"])
def test_every_verb_is_listed_without_them(plain, tmp_path, package):
    assert python(plain, tmp_path, package, "--help").returncode == 0


@pytest.mark.slow
def test_finished_images_are_judged_from_scans_to_report(plain, scans):
    done = snakemake(scans, "--configfile", configured(scans, ravel=None, whitestripe=None), also=plain)
    assert done.returncode == 0, done.stderr[-3000:]
    run = scans / "results" / "small"
    status = read_table(run / "status.tsv")
    assert set(status["status"]) == {"ok"}
    assert set(status["method"]) == {"raw", "theirs"}
    assert (run / "report.html").exists()
    assert "numpy" in read_json(run / "provenance.json")["versions"]


@pytest.mark.parametrize(
    ("methods", "arm", "missing"),
    [
        ({"mispel": {"preset": "demo"}}, "mispel", "safetensors and torch"),
        ({"deepharmony": {}}, "deepharmony", "safetensors and torch"),
        ({"kde": {}}, "kde", "intensity_normalization"),
        ({"histmatch": {}}, "histmatch", "skimage"),
        ({"wrong": {"method": "shuffle", "base": "mispel"}}, "wrong", "safetensors and torch"),
    ],
)
def test_an_arm_without_its_library_is_refused_while_planning(plain, scans, methods, arm, missing):
    done = snakemake(scans, "--dry-run", "--configfile", configured(scans, **methods), also=plain)
    assert done.returncode == 1
    told = f'error: methods.{arm} needs {missing}, not installed here: pip install "mispel-benchmark[methods]", or '
    assert told + f"leave it out (methods: {{{arm}: null}})" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_phantom_is_refused_while_planning(plain, tmp_path):
    done = snakemake(tmp_path, "--dry-run", also=plain)
    assert done.returncode == 1
    assert 'error: study.source: phantom needs nilearn, not installed here: pip install "mispel' in done.stderr


@pytest.mark.parametrize("words", [["bench"], ["fit", "--scans", "own/scans.tsv", "--model", "model"]])
def test_mispel_by_hand_is_refused_in_a_sentence(plain, scans, words):
    done = python(plain, scans, "mispel", *words)
    assert done.returncode == 2
    assert 'error: mispel needs safetensors and torch, not installed here: pip install "mispel-' in done.stderr
    assert not (scans / "model").exists()
