"""Every block of the README, tried as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from core.files import read_table
from tests.support.made_up_study import CONTRASTS, made_up_brain, scanned
from tests.support.paths import ROOT
from tests.support.project_copy import copy_project, python

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.partition("#")[0].strip()
    for language, _, content in BLOCKS
    for line in content.splitlines()
    if language == "sh"
]
AFFINE = np.diag([6.0, 6.0, 6.0, 1.0])


def test_it_is_short_and_every_block_says_what_it_is():
    assert len(TEXT.splitlines()) <= 90
    assert not re.findall(r"^    ", TEXT, flags=re.MULTILINE)
    assert len(COMMANDS) > 5
    assert TEXT.count("```") == 2 * len(BLOCKS)
    assert all(language == "sh" or (language and name) for language, name, _ in BLOCKS)


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", TEXT)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with the files that the README shows, and scans where its sheet says."""
    folder = tmp_path_factory.mktemp("readme") / "project"
    copy_project(folder)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for _, name, content in BLOCKS:
        if name:
            (folder / name).write_text(content, encoding="utf-8")
    contrasts = dict(zip(("GE", "Prisma"), CONTRASTS.values(), strict=False))
    for number, row in enumerate(read_table(folder / "scans.tsv").to_dict("records")):
        labels, mask = made_up_brain(int(row["subject"]))
        for path in (folder / row["image"], folder / row["mask"]):
            path.parent.mkdir(exist_ok=True)
        image = 700 * scanned(labels, mask, contrasts[row["scanner"]], number)
        nib.save(nib.Nifti1Image(image, AFFINE), folder / row["image"])
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), AFFINE), folder / row["mask"])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_does_what_it_is_there_for(command, project):
    program, *words = command.split()
    if program == "git":
        return  # the clone in which this runs
    if program == "make":
        done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True)
        assert "snakemake --cores" in done.stdout
    elif program == "snakemake" and "config/" in command:
        # each shipped configuration is planned by tests/workflow/test_dag.py
        assert (ROOT / words[-1]).is_file()
        return
    elif program == "snakemake":
        done = python(project, "snakemake", "--dry-run", *words)
    else:
        assert (program, words[0]) == ("python", "-m"), "say here how it is tried"
        done = python(project, *words[1:])
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
