"""The engine spm, with a STAND-IN for SPM: a small script of this test, not SPM.

It reads the image's path from the job, writes files under SPM's names, and fails as a program does.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

from core.errors import InputError
from segmentation import segment
from segmentation.interface import check_engine
from tests.support.atlas_brain import STEP, dice

SIZES = (STEP,) * 3

STAND_IN = """#!{python}
# STAND-IN for SPM, for tests: thresholds the intensities, and knows nothing of SPM's model.
import os, re, shutil, sys
import nibabel as nib
import numpy as np

command, job = sys.argv[1:]
assert command == "batch", command
shutil.copy(job, os.environ["STAND_IN_LOG"])
if os.environ.get("STAND_IN_MODE") == "silent":
    print("Starting SPM. No license for the runtime.")
    sys.exit(3)
path = re.search(r"'([^']+),1'", open(job).read()).group(1)
folder, name = os.path.split(path)
scan = nib.load(path)
image = scan.get_fdata(dtype=np.float32)
assert scan.header["sform_code"] > 0

def write(name, values):
    nib.save(nib.Nifti1Image(values.astype("float32"), scan.affine), os.path.join(folder, name))

inside = image > 0
for number, found in ((1, (image > 450) & (image <= 750)), (2, image > 750), (3, inside & (image <= 450))):
    write(f"c{{number}}{{name}}", 0.9 * found)
write(f"BiasField_{{name}}", np.where(inside, 0.5, np.nan))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The stand-in on the PATH under the name `spm`; returns where it puts the job that it was given."""
    (tmp_path / "spm").write_text(STAND_IN.format(python=sys.executable))
    (tmp_path / "spm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "given.m"))
    return tmp_path / "given.m"


def test_reads_what_spm_writes(brain, scan, stand_in):
    mask, labels, affine = brain
    found = segment(scan, mask, SIZES, engine="spm", affine=affine)
    for number in (1, 2, 3):
        assert dice(found.labels == number, labels == number) > 0.99
    np.testing.assert_allclose(found.posteriors[:, mask].sum(axis=0), 0.9, rtol=1e-6)
    np.testing.assert_allclose(found.bias_field[mask], 2, rtol=1e-6)
    assert not found.bias_field[~mask].any()
    np.testing.assert_allclose(found.means, [150, 300, 450], atol=5)
    assert np.all(found.variances > 0)
    assert found.partial_volumes is None


def test_asks_for_spm_s_own_defaults(brain, scan, stand_in):
    mask, _, affine = brain
    segment(scan, mask, SIZES, engine="spm", affine=affine)
    job = stand_in.read_text()
    for line in (
        "maps = fullfile(spm('Dir'), 'tpm', 'TPM.nii');",
        "'biasreg', 0.001, 'biasfwhm', 60, 'write', [1 0]);",
        "gaussians = [1 1 2 3 4 2];",
        "struct('tpm', {{sprintf('%s,%d', maps, k)}}, 'ngaus', gaussians(k)",
        "matlabbatch{1}.spm.spatial.preproc = job;",
    ):
        assert line in job
    assert job.count("{") == job.count("}")


def test_what_spm_says_is_told(brain, scan, stand_in, monkeypatch):
    mask, _, affine = brain
    monkeypatch.setenv("STAND_IN_MODE", "silent")
    with pytest.raises(InputError, match=r"scan.nii: SPM left no result \(exit status 3\): .*No license"):
        segment(scan, mask, SIZES, engine="spm", affine=affine, name="scan.nii")


def test_without_spm_it_is_refused_while_planning(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"segmentation.engines: engine spm: there is no 'spm'.*engine unified"):
        check_engine("spm", "segmentation.engines")
