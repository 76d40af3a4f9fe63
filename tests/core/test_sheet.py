"""The sheet: what is read, and what is refused with file, row and remedy."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.images import load_image, save_image, save_labels
from core.sheet import moved, read_rows, read_sheet, write_sheet
from core.study import Study
from studies.part_sheets import gather
from studies.sources import source
from tests.support.made_up_study import AFFINE, write_study


def test_ids_stay_text_and_scanners_in_order(sheet):
    study = read_sheet(sheet, scale="brain")
    assert study.subjects == ["01", "02", "03"]
    assert study.scanners == ["Alpha", "Beta 2", "Gamma"]
    assert study.pairs == [("Alpha", "Beta 2"), ("Alpha", "Gamma"), ("Beta 2", "Gamma")]
    assert study.covariate("age").numbers == tuple(60 + 5 * number for number in range(3) for _ in range(3))
    scan = study.find("02", "Gamma")
    image, mask = scan.read(), scan.read_mask()
    assert image.dtype == np.float32
    assert image[mask].mean() == pytest.approx(1, abs=1e-5)
    assert not image[~mask].any()


def test_a_written_sheet_reads_back(sheet, tmp_path):
    study = read_sheet(sheet)
    write_sheet(tmp_path / "deeper" / "scans.tsv", study)
    again = read_sheet(tmp_path / "deeper" / "scans.tsv")
    assert [scan.name for scan in again.scans] == [scan.name for scan in study.scans]
    assert again.scans[0].covariates == study.scans[0].covariates


@pytest.mark.parametrize("missing", ["Alpha", "Beta 2", "Gamma"])
def test_a_missing_scan_keeps_the_order_of_scanners(missing, tmp_path):
    study = read_sheet(write_study(tmp_path, missing=("01", missing)))
    assert study.scanners == ["Alpha", "Beta 2", "Gamma"]
    turned = Study(study.scans[::-1][:3] + study.scans)
    assert sorted(turned.scanners) == ["Alpha", "Beta 2", "Gamma"]


@pytest.fixture
def own(tmp_path):
    """A fresh sheet and its table, to be spoilt."""
    sheet = write_study(tmp_path, subjects=2)
    return sheet, pd.read_csv(sheet, sep="\t", dtype=str)


def spoil(own, message, **changes):
    sheet, table = own
    for column, value in changes.items():
        table.loc[1, column] = value
    table.to_csv(sheet, sep="\t", index=False)
    with pytest.raises(InputError, match=message) as caught:
        read_sheet(sheet)
    assert "row 3" in str(caught.value)


def with_t2(sheet, folder):
    """The sheet with a T2-weighted image for every scan but the second; returns its table."""
    table = pd.read_csv(sheet, sep="\t", dtype=str)
    for number, scan in enumerate(read_sheet(sheet).scans):
        image = np.where(scan.read_mask(), 2000 - scan.read(), np.float32(0))
        save_image(folder / f"t2_{number}.nii.gz", image, scan.affine)
        table.loc[number, "t2"] = f"t2_{number}.nii.gz"
    table.loc[1, "t2"] = "n/a"
    table.to_csv(sheet, sep="\t", index=False)
    return table


def test_a_t2_weighted_image_has_its_own_scale_and_may_be_missing(own, tmp_path):
    sheet, _ = own
    with_t2(sheet, tmp_path)
    study = read_sheet(sheet, scale="brain")
    first, second = study.scans[:2]
    t2, mask = first.read_t2(), first.read_mask()
    assert t2.dtype == np.float32
    assert t2[mask].mean() == pytest.approx(1, abs=1e-5)
    assert np.corrcoef(t2[mask], first.read()[mask])[0, 1] < -0.99
    assert not t2[~mask].any()
    assert second.t2 is second.read_t2() is None
    assert "t2" not in first.covariates
    write_sheet(tmp_path / "deeper" / "scans.tsv", study)
    again = read_sheet(tmp_path / "deeper" / "scans.tsv").scans
    assert [scan.t2 and scan.t2.resolve() for scan in again] == [scan.t2 and scan.t2.resolve() for scan in study.scans]


def test_t2_weighted_images_enter_a_study(own, tmp_path):
    sheet, _ = own
    with_t2(sheet, tmp_path)
    options = {"scans": str(sheet)}
    assert tmp_path / "t2_0.nii.gz" in source("sheet").inputs(options, ["01"])
    parts = [source("sheet").prepare(options, subject, tmp_path / "run" / "study") for subject in ("01", "02")]
    gather(parts, tmp_path / "run" / "scans.tsv")
    for file in tmp_path.glob("t2_*"):
        file.unlink()
    found = read_sheet(tmp_path / "run" / "scans.tsv")
    assert [scan.t2 is None for scan in found.scans] == [False, True, False, False, False, False]
    assert found.scans[0].t2.name == "sub-01_scanner-Alpha_T2w.nii.gz"
    assert found.scans[0].read_t2()[found.scans[0].read_mask()].mean() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda image, affine: (image[1:], affine), r"bad.nii.gz has shape .*whose T2-weighted image.*resample"),
        (lambda image, affine: (image, affine + np.eye(4)), "bad.nii.gz: its affine differs"),
        (lambda image, affine: (np.where(image > 0, np.nan, 0), affine), "bad.nii.gz has .* NaN.*leave the cell empty"),
        (lambda image, affine: (np.ones_like(image), affine), "bad.nii.gz is 1 everywhere.*Leave the cell empty"),
    ],
)
def test_a_t2_weighted_image_that_cannot_be_used(own, tmp_path, spoiled, message):
    _, table = own
    save_image(tmp_path / "bad.nii.gz", *spoiled(*load_image(tmp_path / table["image"][1])))
    spoil(own, message, t2="bad.nii.gz")


def test_a_t2_weighted_image_of_another_scan(own, tmp_path):
    sheet, table = own
    image = table["image"][1]
    table = with_t2(sheet, tmp_path)
    spoil((sheet, table), "column t2, has the same voxels as .*01_1.nii.gz; leave the cell empty", t2=image)
    spoil((sheet, table), "column t2, has the same voxels as .*t2_0.nii.gz .*row 2", t2="t2_0.nii.gz")
    spoil((sheet, table), "nowhere.nii.gz: no such file", t2="nowhere.nii.gz")


def test_duplicate_row(own):
    spoil(own, "a second time .first in row 2.; keep one row", scanner="Alpha")


def test_absent_file(own):
    spoil(own, "nowhere.nii.gz: no such file", image="nowhere.nii.gz")


def test_unreadable_file(own, tmp_path):
    (tmp_path / "text.nii.gz").write_text("not an image")
    spoil(own, "text.nii.gz: not a readable NIfTI", image="text.nii.gz")


def test_truncated_file(own, tmp_path):
    whole = (tmp_path / "01_0.nii.gz").read_bytes()
    (tmp_path / "half.nii.gz").write_bytes(whole[: len(whole) // 2])
    spoil(own, "half.nii.gz", image="half.nii.gz")


def test_shape_that_differs(own, tmp_path):
    save_labels(tmp_path / "small.nii.gz", np.ones((3, 3, 3)), AFFINE)
    spoil(own, r"small.nii.gz has shape \(3, 3, 3\).*resample", mask="small.nii.gz")


def test_affine_that_differs(own, tmp_path):
    image, affine = load_image(tmp_path / "01_1.nii.gz")
    affine[0, 3] += 5
    save_image(tmp_path / "moved.nii.gz", image, affine)
    spoil(own, "differs from that of the first scan by up to 5 mm", image="moved.nii.gz")


def test_empty_mask(own, tmp_path):
    save_labels(tmp_path / "empty.nii.gz", np.zeros((24, 28, 22)), AFFINE)
    spoil(own, "empty", mask="empty.nii.gz")


def test_mask_of_other_values(own, tmp_path):
    save_image(tmp_path / "soft.nii.gz", np.full((24, 28, 22), 0.5), AFFINE)
    spoil(own, "only 0 and 1, this one also 0.5; binarize", mask="soft.nii.gz")


def test_nan_voxels(own, tmp_path):
    image, affine = load_image(tmp_path / "01_1.nii.gz")
    image[12, 14, 9:11] = np.nan
    save_image(tmp_path / "broken.nii.gz", image, affine)
    spoil(own, "2 NaN or infinite voxels", image="broken.nii.gz")


def test_constant_image(own, tmp_path):
    save_image(tmp_path / "flat.nii.gz", np.full((24, 28, 22), 7.0), AFFINE)
    spoil(own, "is 7 everywhere", image="flat.nii.gz")


def test_hostile_ids(own):
    for name in ("../evil", "a/b", "x; rm", "a" * 65, "$(x)"):
        spoil(own, "cannot be an id", subject=name)
    for name in ("", "n/a", "NaN"):
        spoil(own, "stands for nothing and cannot be an id", subject=name)


def test_ids_that_differ_in_case_alone(own):
    spoil(own, "column scanner: 'ALPHA' and 'Alpha' differ in case alone", scanner="ALPHA")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "column mask: '', and every scan needs one; name the file"),
        ("n/a", "column mask: 'n/a', and every scan needs one"),
        ("~/mask.nii.gz", "column mask: '~/mask.nii.gz', of which only a shell knows the '~'; write the path in full"),
        (".", "a folder; name a file in it"),
    ],
)
def test_a_cell_that_names_no_file(cell, message, own):
    spoil(own, message, mask=cell)


def test_a_truth_that_is_not_there_is_refused_where_a_study_is_made_of_it(own):
    sheet, table = own
    table.assign(truth_image=["01_0.nii.gz", "nowhere.nii.gz", *["n/a"] * 4]).to_csv(sheet, sep="\t", index=False)
    assert read_sheet(sheet).scans[1].file("truth_image").name == "nowhere.nii.gz"
    with pytest.raises(InputError, match="row 3, column truth_image: .*nowhere.nii.gz: no such file"):
        source("sheet").check({"scans": str(sheet)})


def test_a_moved_path_leads_to_the_file_through_linked_folders(tmp_path):
    (tmp_path / "disk" / "deep" / "results").mkdir(parents=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "truth.nii").write_text("x")
    (tmp_path / "results").symlink_to(tmp_path / "disk" / "deep" / "results")
    cell = moved("truth_image", "truth.nii", tmp_path / "own", tmp_path / "results")
    assert (tmp_path / "results" / cell).read_text() == "x"
    assert moved("age", "61", tmp_path / "own", tmp_path / "results") == "61"


def test_four_dimensions(own, tmp_path):
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4, 2), np.float32), AFFINE), tmp_path / "four.nii.gz")
    spoil(own, "has 4 dimensions", image="four.nii.gz")


def test_header_that_claims_too_much(tmp_path):
    path = tmp_path / "huge.nii"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), AFFINE), path)
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([20000, 20000, 20000], "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match="which no scan has"):
        load_image(path)


@pytest.mark.parametrize("kind", ["int16 with scaling", "big-endian", "float64"])
def test_storage_does_not_matter(kind, tmp_path):
    """Trap 7: what is read is float32, whatever was stored, within rounding."""
    image = np.random.default_rng(0).uniform(0, 900, (5, 6, 7)).astype(np.float32)
    if kind == "big-endian":
        stored = nib.Nifti1Image(image, AFFINE, nib.Nifti1Header(endianness=">"))
    else:
        stored = nib.Nifti1Image(image.astype(np.float64), AFFINE)
        stored.set_data_dtype(np.int16 if "int16" in kind else np.float64)
    nib.save(stored, tmp_path / "image.nii")
    voxels, affine = load_image(tmp_path / "image.nii")
    assert voxels.dtype == np.float32
    np.testing.assert_allclose(voxels, image, atol=900 / 2**16)
    np.testing.assert_array_equal(affine, AFFINE)


def test_saved_images_are_float32_with_equal_bytes(tmp_path):
    image = np.random.default_rng(1).normal(size=(5, 6, 7))
    save_image(tmp_path / "a.nii.gz", image, AFFINE)
    save_image(tmp_path / "b.nii.gz", image, AFFINE)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == np.float32
    np.testing.assert_allclose(load_image(tmp_path / "a.nii.gz")[0], image, atol=1e-5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400))
def test_any_bytes_give_a_sentence(content, tmp_path):
    path = tmp_path / "fuzzed.tsv"
    path.write_bytes(b"subject\tscanner\timage\tmask\n" + content)
    try:
        read_rows(path)
    except InputError as error:
        assert str(path) in str(error)


def test_paths_in_further_columns_lead_to_the_same_files(tmp_path):
    """A sheet with its truth, such as a phantom's, as the source of another run, and written elsewhere."""
    own = write_study(tmp_path / "own")
    rows = pd.read_csv(own, sep="\t", dtype=str)
    rows["truth_image"] = rows["image"]
    rows.to_csv(own, sep="\t", index=False)
    originals = {scan.name: scan.image for scan in read_sheet(own).scans}
    part = source("sheet").prepare({"scans": str(own), "seed": 0, "scale": "brain"}, "01", tmp_path / "deep" / "study")
    write_sheet(tmp_path / "a" / "b" / "c.tsv", read_sheet(own))
    for sheet in (part, tmp_path / "a" / "b" / "c.tsv"):
        for scan in read_sheet(sheet).scans:
            assert scan.file("truth_image").samefile(originals[scan.name])
