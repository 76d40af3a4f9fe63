"""The engine fsl, with a STAND-IN for FAST: a small script of this test, not FSL.

It takes FAST's options, writes files under FAST's names, and fails as FAST does: a word on the
output, exit status 0, and files missing.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

from core.errors import InputError
from segmentation import labels_at, segment
from segmentation.interface import check_engine
from tests.support.made_up_study import AFFINE, made_up_brain, scanned

SIZES = tuple(np.diag(AFFINE)[:3])

STAND_IN = """#!{python}
# STAND-IN for FSL's fast, for tests: thresholds the intensities, and knows nothing of FAST's model.
import argparse, json, os, sys
import nibabel as nib
import numpy as np

parser = argparse.ArgumentParser()
for flag in ("-g", "-p", "-b"):
    parser.add_argument(flag, action="store_true")
for option in ("-t", "-n", "-o", "-S"):
    parser.add_argument(option)
parser.add_argument("image")
options = parser.parse_args()
with open(os.environ["STAND_IN_LOG"], "w") as log:
    json.dump([os.getcwd(), os.environ["FSLOUTPUTTYPE"], vars(options)], log)

scan = nib.load(options.image)
image = np.asarray(scan.dataobj)
mode = os.environ.get("STAND_IN_MODE", "")
if mode == "silent":
    print("Not enough classes")
    sys.exit(0)

def write(name, values, dtype="float32"):
    nib.save(nib.Nifti1Image(values.astype(dtype), scan.affine), options.o + "_" + name + ".nii.gz")

labels = np.where(image > 0, 1 + (image > 380) + (image > 740), 0)
write("seg", labels, "uint8")
write("pveseg", labels, "uint8")
write("mixeltype", labels, "uint8")
write("bias", np.ones(image.shape))
for k in range(3):
    write(f"seg_{{k}}", labels == k + 1, "uint8")
    write(f"prob_{{k}}", np.where(labels == k + 1, 0.9, 0.05) * (labels > 0))
    if not (mode == "partial" and k == 2):
        write(f"pve_{{k}}", labels == k + 1)
"""


@pytest.fixture
def brain():
    labels, mask = made_up_brain(2)
    return 700 * scanned(labels, mask, (0.3, 0.8, 1.3), 2), mask


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The stand-in on the PATH under the name `fast`, and FSLDIR set; returns where it logs its call."""
    folder = tmp_path / "stand-in"
    folder.mkdir()
    (folder / "fast").write_text(STAND_IN.format(python=sys.executable))
    (folder / "fast").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("FSLDIR", str(folder))
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log.json"))
    return tmp_path / "log.json"


@pytest.mark.parametrize("missing", ["FSLDIR", "PATH"])
def test_without_fsl_says_how_to_get_it(brain, stand_in, monkeypatch, missing):
    monkeypatch.setenv(missing, "")
    with pytest.raises(InputError, match=r"scan.nii: .*FSLDIR|'fast'.*install FSL.*hmrf"):
        segment(*brain, SIZES, engine="fsl", name="scan.nii")


def test_without_nipype_it_is_refused_while_planning(stand_in, monkeypatch):
    check_engine("fsl", "segmentation.engine")
    monkeypatch.setitem(sys.modules, "nipype", None)
    told = r'segmentation.engine: engine fsl needs nipype, not installed here: pip install "mispel-benchmark\[fsl\]"'
    with pytest.raises(InputError, match=told):
        check_engine("fsl", "segmentation.engine")


def test_reads_what_fast_writes(brain, stand_in):
    image, mask = brain
    found = segment(image, mask, SIZES, engine="fsl")
    assert found.engine == "fsl"
    expected = np.where(mask, 1 + (image > 380) + (image > 740), 0)
    assert np.array_equal(found.labels, expected)
    assert found.labels.dtype == np.uint8
    assert np.array_equal(labels_at(found), expected)
    assert np.array_equal(labels_at(found, "partial_volume"), expected)
    assert found.posteriors.dtype == found.partial_volumes.dtype == found.bias_field.dtype == np.float32
    assert np.all(np.diff(found.means) > 0)
    assert np.all(found.variances > 0)


def test_asks_fast_as_the_reference_was_made(brain, stand_in):
    import json

    segment(*brain, SIZES, engine="fsl")
    folder, output_type, options = json.loads(stand_in.read_text())
    image = options.pop("image")
    assert options == {"t": "1", "n": "3", "g": True, "p": True, "b": True, "o": "fast", "S": "1"}
    assert output_type == "NIFTI_GZ"
    assert image.startswith(folder)


@pytest.mark.parametrize(("mode", "reason"), [("silent", "Not enough classes"), ("partial", "pve_2")])
def test_a_silent_failure_is_heard(brain, stand_in, monkeypatch, mode, reason):
    monkeypatch.setenv("STAND_IN_MODE", mode)
    with pytest.raises(InputError, match=f"scan.nii: FAST left no result: .*{reason}"):
        segment(*brain, SIZES, engine="fsl", name="scan.nii")
