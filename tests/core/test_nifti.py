"""NIfTI files: read as nibabel reads them, to their last byte, in mm, and refused by name where they're broken."""

from __future__ import annotations

import gzip
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.images import load_image, load_mask, load_on_grid, save_image, save_labels, voxel_volume_ml
from core.nifti import LARGEST_IMAGE, SLABS, open_nifti
from tests.support.made_up_study import AFFINE, made_up_brain, scanned

ANY_TIME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FLIPS = 120


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """An image and a mask as this project writes them."""
    folder = tmp_path_factory.mktemp("nifti")
    labels, mask = made_up_brain(0)
    save_image(folder / "image.nii.gz", scanned(labels, mask, (0.3, 0.8, 1.3), 1), AFFINE)
    save_labels(folder / "mask.nii.gz", mask, AFFINE)
    return folder


@pytest.mark.parametrize(("name", "load"), [("image.nii.gz", load_image), ("mask.nii.gz", load_mask)])
def test_a_flipped_bit_is_refused_by_name_or_changes_no_voxel(name, load, written, tmp_path):
    """Some flips are harmless: the time in gzip's header, or where in a run of zeros more zeros are copied from."""
    whole = (written / name).read_bytes()
    wanted, _ = load(written / name)
    path = tmp_path / name
    refused = 0
    for bit in np.random.default_rng(0).integers(8 * len(whole), size=FLIPS).tolist():
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        try:
            voxels, affine = load(path)
        except InputError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(voxels, wanted)
            np.testing.assert_array_equal(affine, AFFINE)
    assert refused > FLIPS // 2


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("change", ["cut", "halved", "garbage", "zeros", "twice"])
def test_a_truncated_or_prolonged_file_is_refused_by_name(packed, change, written, tmp_path):
    whole = (written / "image.nii.gz").read_bytes()
    if not packed:
        whole = gzip.decompress(whole)
    content = {
        "cut": whole[:-1],
        "halved": whole[: len(whole) // 2],
        "garbage": whole + b"garbage",
        "zeros": whole + bytes(7),
        "twice": whole + whole,
    }
    path = tmp_path / ("changed.nii.gz" if packed else "changed.nii")
    path.write_bytes(content[change])
    with pytest.raises(InputError, match=r"changed\.nii"):
        load_image(path)


shapes = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, SLABS + 3))


@ANY_TIME
@given(
    shape=shapes,
    kind=st.sampled_from(["u1", "i2", "u2", "i4", "f4", "f8"]),
    order=st.sampled_from("<>"),
    slope=st.sampled_from([0, 1, -0.37, 12.5]),
    inter=st.sampled_from([0, -3.25]),
    version=st.sampled_from([nib.Nifti1Image, nib.Nifti2Image]),
    ending=st.sampled_from([".nii", ".nii.gz", ".NII.GZ"]),
    seed=st.integers(0, 2**16),
)
def test_voxels_are_those_that_nibabel_reads(shape, kind, order, slope, inter, version, ending, seed, tmp_path):
    voxels = np.random.default_rng(seed).integers(0, 250, shape).astype(order + kind)
    image = version(voxels, AFFINE, version.header_class(endianness=order))
    content = bytearray(image.to_bytes())
    place, size = (112, "f4") if version is nib.Nifti1Image else (176, "f8")
    scaling = np.array([slope, inter], order + size).tobytes()
    content[place : place + len(scaling)] = scaling
    path = tmp_path / f"image{ending}"
    path.write_bytes(gzip.compress(content) if ending.lower().endswith(".gz") else content)
    found, affine = load_image(path)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.asarray(version.from_bytes(bytes(content)).dataobj, np.float32))
    np.testing.assert_array_equal(affine, AFFINE)


def test_a_pair_of_files_is_read_by_either_name(tmp_path):
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nib.save(nib.Nifti1Pair(voxels, AFFINE), tmp_path / "pair.hdr")
    for name in ("pair.hdr", "pair.img"):
        np.testing.assert_array_equal(load_image(tmp_path / name)[0], voxels)
    (tmp_path / "pair.img").unlink()
    with pytest.raises(InputError, match=r"pair\.img: no such file"):
        load_image(tmp_path / "pair.hdr")


def in_unit(path, unit: str, size_mm: float) -> None:
    """An image of 2 mm voxels with lengths in a unit of so many mm."""
    image = nib.Nifti1Image(np.ones((5, 5, 5), np.float32), np.diag([2 / size_mm, 2 / size_mm, 2 / size_mm, 1]))
    image.header.set_xyzt_units(unit)
    nib.save(image, path)


@pytest.mark.parametrize(("unit", "size_mm"), [("mm", 1), ("unknown", 1), ("micron", 1e-3), ("meter", 1e3)])
def test_lengths_are_in_mm_whatever_the_file_has_and_written_in_mm(unit, size_mm, tmp_path):
    in_unit(tmp_path / "image.nii.gz", unit, size_mm)
    voxels, affine = load_image(tmp_path / "image.nii.gz")
    np.testing.assert_allclose(affine, np.diag([2.0, 2, 2, 1]), rtol=1e-6)
    assert voxel_volume_ml(affine) == pytest.approx(0.008)
    save_image(tmp_path / "again.nii.gz", voxels, affine)
    again = nib.load(tmp_path / "again.nii.gz")
    assert again.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(again.affine, affine)


def test_voxels_that_no_scan_has_are_refused_by_the_unit(tmp_path):
    in_unit(tmp_path / "image.nii", "meter", 1)
    with pytest.raises(InputError, match="image.nii: voxels of 2000 x 2000 x 2000 mm, by a header in meters"):
        open_nifti(tmp_path / "image.nii")


@pytest.mark.parametrize(("slope", "inter"), [(np.nan, 0), (np.inf, 0), (2, np.nan), (1, -np.inf)])
def test_a_scaling_that_is_no_number_is_refused(slope, inter, tmp_path):
    content = bytearray(nib.Nifti1Image(np.ones((3, 3, 3), np.float32), AFFINE).to_bytes())
    content[112:120] = np.array([slope, inter], "<f4").tobytes()
    (tmp_path / "image.nii").write_bytes(content)
    with pytest.raises(InputError, match=r"image\.nii: its header scales voxels by .*scl_slope"):
        load_image(tmp_path / "image.nii")


def claiming(path, shape, offset: int) -> None:
    """A file whose header claims voxels of this shape from `offset` on, and 64 MB of zeros, which pack into 64 kB."""
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.float32)
    header.set_sform(AFFINE, 1)
    header["vox_offset"] = offset
    # a note that fills what lies before the voxels
    note = np.array([offset - header.single_vox_offset, 6], "<i4").tobytes()
    with gzip.open(path, "wb") as stream:
        stream.write(header.binaryblock + b"\1\0\0\0" + note + bytes(2**26))


@pytest.mark.parametrize(
    ("shape", "offset", "message"),
    [
        ((256, 256, 256), 352, r"has shape \(256, 256, 256\), the first scan \(24, 28, 22\)"),
        ((512, 512, 1 + LARGEST_IMAGE // 2**18), 352, "at most 134217728 are read .*crop it"),
        ((24, 28, 22), 352 + 2**25, "its voxels begin at byte"),
    ],
)
def test_no_more_is_inflated_than_the_study_has_room_for(shape, offset, message, tmp_path):
    path = tmp_path / "large.nii.gz"
    claiming(path, shape, offset)
    tracemalloc.start()
    with pytest.raises(InputError, match=message):
        load_on_grid(path, (24, 28, 22), AFFINE, "the first scan")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6
