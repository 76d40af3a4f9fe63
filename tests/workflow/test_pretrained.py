"""The recipes of docs/pretrained.md, with stand-ins that take the same command lines as the programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

from baselines.command import Command
from baselines.external import External
from baselines.harness.parameters import make_parameters
from core.images import load_image
from core.run_folder import image_name
from core.sheet import read_sheet, write_sheet
from core.study import Study
from tests.support.made_up_study import write_study
from tests.support.project_copy import shown

PAGE = "pretrained.md"

HACA3 = """#!{python}
import argparse
import nibabel
import numpy
parser = argparse.ArgumentParser()
for name in ("in-path", "target-image", "harmonization-model", "fusion-model", "out-path", "intermediate-out-dir"):
    parser.add_argument(f"--{{name}}", required=True)
given = parser.parse_args()
scan = nibabel.load(given.in_path)
# on a grid that is one voxel smaller at each end
part = scan.slicer[1:-1, 1:-1, 1:-1]
nibabel.save(nibabel.Nifti1Image(2 * part.get_fdata(dtype=numpy.float32), part.affine), given.out_path)
"""

IGUANE = """
import nibabel
import numpy
from model_architectures import NAME
mri_paths = []
dest_paths = []
weights_path = './iguane_weights.h5'
assert weights_path.endswith("harmonization/iguane_weights.h5") and NAME == "generator"
for mri, dest in zip(mri_paths, dest_paths):
    scan = nibabel.load(mri)
    brain = scan.get_fdata(dtype=numpy.float32)
    assert all(edge % 16 == 0 for edge in brain.shape)
    assert abs(numpy.median(brain[brain > 0]) - 500) < 1
    nibabel.save(nibabel.Nifti1Image(brain / 250, scan.affine), dest)
"""

DISARM = """
import argparse
import pathlib
import nibabel
import numpy
parser = argparse.ArgumentParser()
parser.add_argument("--input_dir", type=pathlib.Path)
parser.add_argument("--output_dir", type=pathlib.Path)
parser.add_argument("--resume", type=pathlib.Path)
parser.add_argument("--gpu")
parser.add_argument("--mode", choices=["scanner-free", "reference"])
parser.add_argument("--pre_trained_model", action="store_true")
given = parser.parse_args()
assert given.resume.is_file() and given.pre_trained_model
for path in given.input_dir.glob("*.nii.gz"):
    scan = nibabel.load(path)
    # a background that isn't 0
    made = nibabel.Nifti1Image(3 * scan.get_fdata(dtype=numpy.float32) + 1, scan.affine)
    nibabel.save(made, given.output_dir / f"harm_{path.name}")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the page's script, and stand-ins where the page has the programs."""
    folder = tmp_path_factory.mktemp("pretrained")
    (folder / "pretrained.py").write_text(shown(PAGE, "python")[0])
    (folder / "haca3-test").write_text(HACA3.format(python=sys.executable))
    (folder / "haca3-test").chmod(0o755)
    for path, content in (
        ("iguane_harmonization/harmonization/inference.py", IGUANE),
        ("iguane_harmonization/harmonization/model_architectures.py", 'NAME = "generator"\n'),
        ("DISARMpp_Harmonization/code/inference.py", DISARM),
        ("DISARMpp_Harmonization/checkpoint/trained_disarm++.pth", ""),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder


@pytest.mark.parametrize(("program", "factor"), [("haca3", 2.0), ("iguane", None), ("disarm", 3.0)])
def test_images_go_in_and_come_back_on_their_grid(place, program, factor, tmp_path):
    scans = read_sheet(write_study(tmp_path / "own"), scale="brain").scans[:2]
    write_sheet(tmp_path / "scans.tsv", Study(scans), absolute=True)
    (tmp_path / "out").mkdir()
    environment = {**os.environ, "PATH": f"{place}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(
        [sys.executable, "pretrained.py", program, tmp_path / "scans.tsv", tmp_path / "out"],
        check=True,
        cwd=place,
        env=environment,
    )
    for scan in scans:
        found, affine = load_image(tmp_path / "out" / image_name(scan.name))
        own = np.asarray(nibabel.load(scan.image).dataobj)
        np.testing.assert_allclose(affine, scan.affine, atol=1e-5)
        assert found.shape == own.shape
        assert not found[own <= 0].any()
        brain = own > 0
        if factor is None:
            factor = 2 / float(np.median(own[brain]))
        inner = tuple(slice(2, -2) for _ in range(3))
        offset = 1.0 if program == "disarm" else 0.0
        expected = np.where(brain, factor * own + offset, 0)
        np.testing.assert_allclose(found[inner], expected[inner], rtol=1e-4, atol=1e-4)
        factor = None if program == "iguane" else factor


def test_the_pages_arms_can_be_planned():
    methods = yaml.safe_load(shown(PAGE, "yaml")[0])["methods"]
    assert set(methods) == {"haca3", "iguane", "disarm", "stgan"}
    for settings in methods.values():
        chosen = {"command": Command, "external": External}[settings.pop("method")]
        made = chosen(make_parameters(chosen, settings))
        assert not made.uses_other_scans
