"""Hostile and broken input: always a sentence, never a hang, never a file where none belongs."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from baselines.harness.fitting import fit_method
from baselines.harness.saved import load_method, write_checksums
from core.errors import InputError
from core.ids import SAFE_ID
from core.images import load_image, load_mask
from core.sheet import read_rows, read_sheet
from evaluation.arms.images import load_fractions
from evaluation.figures.figure_mispel_embeddings import read_columns
from studies.sources import source
from tests.support.made_up_study import AFFINE, write_study
from tests.support.runs import snakemake

BOUNDED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEWER = settings(BOUNDED, max_examples=100)

HEADER_BYTES = 352
DIM, BITPIX, VOX_OFFSET, SROW = 40, 72, 108, 280


def tiny_image() -> bytes:
    image = nib.Nifti1Image(np.arange(64, dtype=np.float32).reshape(4, 4, 4), AFFINE)
    return image.to_bytes()


TINY = tiny_image()
changes = st.lists(st.tuples(st.integers(0, HEADER_BYTES - 1), st.integers(0, 255)), min_size=1, max_size=12)


@BOUNDED
@example(changed=[(DIM + 2 * axis + 1, 0x7F) for axis in (1, 2, 3)], length=len(TINY), packed=True)
@example(changed=[(DIM + 3, 0xFF)], length=len(TINY), packed=False)
@example(changed=[(VOX_OFFSET + 3, 0x7F)], length=len(TINY), packed=False)
@example(changed=[(SROW + byte, 0xFF) for byte in range(48)], length=len(TINY), packed=False)
@example(changed=[(70, 128), (71, 0), (BITPIX, 24)], length=len(TINY), packed=False)
@given(changed=changes, length=st.integers(0, len(TINY)), packed=st.booleans())
def test_any_header_gives_an_image_or_a_sentence(changed, length, packed, tmp_path):
    content = bytearray(TINY)
    for place, value in changed:
        content[place] = value
    path = tmp_path / ("fuzzed.nii.gz" if packed else "fuzzed.nii")
    path.write_bytes(gzip.compress(content[:length], 1) if packed else content[:length])
    for read in (load_image, load_mask):
        try:
            voxels, affine = read(path)
        except InputError as error:
            assert str(path) in str(error)
        else:
            assert voxels.ndim == 3
            assert voxels.dtype in (np.float32, bool)
            assert np.isfinite(affine).all()
            assert np.linalg.det(affine[:3, :3])


@FEWER
@given(content=st.binary(max_size=600), suffix=st.sampled_from([".nii", ".nii.gz", ".img", ".mgz", ".gz", ""]))
def test_any_bytes_in_an_images_place_give_a_sentence(content, suffix, tmp_path):
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="noise"):
        load_image(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_claims_a_million_million_voxels_is_refused_before_they_are_made_room_for(packed, tmp_path):
    content = bytearray(TINY)
    content[DIM + 2 : DIM + 8] = np.array([10000, 10000, 10000], "<i2").tobytes()
    path = tmp_path / ("huge.nii.gz" if packed else "huge.nii")
    path.write_bytes(gzip.compress(content) if packed else content)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"claims \(10000, 10000, 10000\) voxels"):
        load_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6


def test_a_header_that_claims_more_than_its_file_holds_is_refused_unread(tmp_path):
    content = bytearray(TINY)
    content[DIM + 2 : DIM + 8] = np.array([500, 500, 500], "<i2").tobytes()
    path = tmp_path / "more.nii.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match="500000000 bytes of voxels, more than the file holds"):
        load_image(path)


def test_true_fractions_are_read_with_the_same_care(tmp_path):
    path = tmp_path / "fractions.nii.gz"
    path.write_bytes(gzip.compress(TINY[:380]))
    with pytest.raises(InputError, match=r"fractions\.nii\.gz"):
        load_fractions(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    for name, read in (("pipe.nii", load_image), ("pipe.tsv", read_rows)):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match="not a regular file"):
            read(tmp_path / name)


# --- sheets -----------------------------------------------------------------------------------------


HOSTILE = [
    "../../evil",
    "/etc/passwd",
    "..",
    "a/../b",
    "$(touch x)",
    "`x`",
    "a;b",
    "a\nb",
    "01\x00",
    "é" * 300,
    '"',
    "",
]
ids = st.one_of(st.sampled_from(["01", "02", "Alpha", "Beta 2", *HOSTILE]), st.text(max_size=80))
paths = st.one_of(st.sampled_from(["01_0.nii.gz", "01_mask.nii.gz", "scans.tsv", ".", *HOSTILE]), st.text(max_size=30))
rows = st.lists(st.tuples(ids, ids, paths, paths, st.text(max_size=10)), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """A folder with a study of two people, into which fuzzed sheets are written."""
    folder = tmp_path_factory.mktemp("hostile") / "own"
    write_study(folder, subjects=2)
    return folder


def files_under(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


@FEWER
@example(rows=[("01", "Alpha", "01_0.nii.gz", "01_mask.nii.gz", "x")], separator="\t", extra="")
@example(rows=[("01", "Alpha", "01_0.nii.gz", "01_mask.nii.gz", "x")], separator="\t", extra="\tmore")
@given(rows=rows, separator=st.sampled_from(["\t", "\t", "\t", ",", " "]), extra=st.sampled_from(["", "", "\tmore"]))
def test_any_sheet_gives_scans_or_a_sentence_and_files_only_where_they_belong(rows, separator, extra, own):
    sheet, out = own / "fuzzed.tsv", own.parent / "out"
    lines = [separator.join(["subject", "scanner", "image", "mask", "age"])]
    lines += [separator.join(row) + extra for row in rows]
    sheet.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    before = files_under(own.parent)
    try:
        options = {"scans": str(sheet), "scale": "brain", "seed": 0}
        planned = source("sheet").plan(options)
        read_sheet(sheet)
        for subject in dict.fromkeys(scan.subject for scan in planned):
            source("sheet").prepare(options, subject, out)
    except InputError as error:
        assert "fuzzed.tsv" in str(error)
    else:
        assert all(SAFE_ID.fullmatch(name) for scan in planned for name in (scan.subject, scan.scanner))
    made = files_under(own.parent) - before
    assert all(path.parent == out and path.name.startswith("sub-") for path in made)


def test_rows_with_more_fields_than_names_are_refused(own):
    table = pd.read_csv(own / "scans.tsv", sep="\t", dtype=str)
    shifted = own / "shifted.tsv"
    lines = ["\t".join(table.columns), *("\t".join([*row, "more"]) for row in table.to_numpy())]
    shifted.write_text("\n".join(lines))
    with pytest.raises(InputError, match="6 cells, beginning '01', where the header has 5"):
        read_rows(shifted)


def test_ids_whose_files_would_have_one_name_are_refused(tmp_path):
    sheet = tmp_path / "scans.tsv"
    sheet.write_text("subject\tscanner\timage\tmask\na\tb_scanner-c\tx\ty\na_scanner-b\tc\tx\ty\n")
    with pytest.raises(InputError, match="row 3.*sub-a_scanner-b_scanner-c"):
        read_rows(sheet)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a\tb\tx\ty\nA\tc\tx\ty\n", "row 3, column subject: 'A' and 'a' differ in case alone"),
        ("a\tGE\tx\ty\nb\tGe\tx\ty\n", "row 3, column scanner: 'Ge' and 'GE' differ in case alone"),
        ('"a\n"\tb\tx\ty\n', "row 2: the cell .* begins with a quote that isn't closed"),
    ],
)
def test_ids_that_a_disk_may_not_tell_apart_are_refused(rows, message, tmp_path):
    sheet = tmp_path / "scans.tsv"
    sheet.write_text(f"subject\tscanner\timage\tmask\n{rows}")
    with pytest.raises(InputError, match=message):
        read_rows(sheet)


# --- models and records -----------------------------------------------------------------------------


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_model_with_pickled_objects_is_refused_and_not_run(study, tmp_path):
    fit_method("histmatch", study, tmp_path / "model")
    arrays = next((tmp_path / "model").glob("*.npz"))
    with np.load(arrays) as stored:
        names = list(stored)
    objects = np.array([Evil(tmp_path / "pwned")], dtype=object)
    np.savez(arrays, **dict.fromkeys(names, objects), allow_pickle=True)
    write_checksums(tmp_path / "model")
    with pytest.raises(InputError, match="the model cannot be read.*fit it again"):
        load_method("histmatch", tmp_path / "model")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("file", ["../outside", "/etc/passwd", "pipe", "/dev/zero"])
def test_a_model_that_names_files_elsewhere_is_refused_unread(file, study, tmp_path):
    fit_method("raw", study, tmp_path / "model")
    (tmp_path / "outside").touch()
    os.mkfifo(tmp_path / "model" / "pipe")
    with open(tmp_path / "model" / "checksums.sha256", "a") as stream:
        stream.write(f"{'0' * 64}  {file}\n")
    with pytest.raises(InputError, match="names a file outside its folder|missing or changed"):
        load_method("raw", tmp_path / "model")


@pytest.mark.parametrize("content", ["[]", "{}", '{"method": "raw"}', "[" * 100_000, "\x00"])
def test_a_broken_description_of_a_model_is_refused(content, tmp_path):
    (tmp_path / "method.json").write_text(content)
    write_checksums(tmp_path)
    with pytest.raises(InputError, match=r"method\.json"):
        load_method("raw", tmp_path)


def test_an_embeddings_file_with_pickled_objects_is_refused_and_not_run(tmp_path):
    path = tmp_path / "embeddings.npz"
    objects = np.array([Evil(tmp_path / "pwned")], dtype=object)
    np.savez(path, embeddings=objects, scanners=objects, allow_pickle=True)
    with pytest.raises(InputError, match=r"embeddings\.npz: cannot be read"):
        read_columns(path)
    assert not (tmp_path / "pwned").exists()


def test_a_configuration_that_builds_objects_is_refused_and_not_run(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f'run: !!python/object/apply:os.mkdir ["{tmp_path / "pwned"}"]\n')
    done = snakemake(tmp_path, "-n", "--configfile", str(config))
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "not valid JSON or YAML" in said
    assert "Traceback" not in said
    assert not (tmp_path / "pwned").exists()
