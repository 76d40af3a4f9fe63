"""The true volumes of follow-ups, from the fractions that the sheet names."""

from __future__ import annotations

import dataclasses

import nibabel as nib
import numpy as np
import pytest

from core.sheet import read_sheet
from evaluation.arms.follow_ups import true_volumes


def test_true_volumes_are_the_sums_of_fractions(sheet, tmp_path):
    scan = read_sheet(sheet).scans[0]
    fractions = np.zeros((*scan.shape, 3), dtype=np.float32)
    fractions[:4, 0, 0] = [0.5, 0.25, 0.25]
    nib.save(nib.Nifti1Image(fractions, scan.affine), tmp_path / "fractions.nii.gz")
    known = dataclasses.replace(
        scan, session="later", time=2.0, covariates={"truth_fractions": "fractions.nii.gz"}, folder=tmp_path
    )
    found = true_volumes([known, dataclasses.replace(scan, session="other", time=3.0)])
    assert list(found["session"]) == ["later"] * 3
    # voxels of 6 mm
    expected = dict(zip(("CSF", "GM", "WM"), np.array([2.0, 1.0, 1.0]) * 0.216, strict=True))
    assert found.set_index("tissue")["true_volume_ml"].to_dict() == pytest.approx(expected)


def test_without_any_truth_there_is_an_empty_table_of_numbers(sheet):
    found = true_volumes(read_sheet(sheet).scans)
    assert found.empty
    assert found["true_volume_ml"].dtype == float
